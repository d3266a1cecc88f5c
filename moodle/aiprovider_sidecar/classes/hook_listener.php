<?php
// This file is part of Moodle - https://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <https://www.gnu.org/licenses/>.

namespace aiprovider_sidecar;

use aiprovider_sidecar\form\status_element;
use aiprovider_sidecar\local\settings;
use core_ai\hook\after_ai_provider_form_hook;

/**
 * The fields of the form of a provider instance, for Moodle 5.0 and newer.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class hook_listener {
    /**
     * Add the fields. Address and token are all that is needed; the others have defaults.
     *
     * @param after_ai_provider_form_hook $hook
     */
    public static function extend_instance_form(after_ai_provider_form_hook $hook): void {
        if ($hook->plugin !== 'aiprovider_sidecar') {
            return;
        }
        $mform = $hook->mform;
        $string = static fn(string $id): string => get_string($id, 'aiprovider_sidecar');

        $mform->addElement('text', 'url', $string('url'), ['size' => 60]);
        $mform->setType('url', PARAM_RAW_TRIMMED);
        $mform->setDefault('url', settings::DEFAULT_URL);
        $mform->addHelpButton('url', 'url', 'aiprovider_sidecar');
        $mform->addRule('url', get_string('required'), 'required', null, 'client');
        $mform->addFormRule([self::class, 'validate']);

        $mform->addElement('passwordunmask', 'token', $string('token'), ['size' => 60, 'autocomplete' => 'off']);
        $mform->setType('token', PARAM_RAW_TRIMMED);
        $mform->addHelpButton('token', 'token', 'aiprovider_sidecar');

        $mform->addElement(new status_element('status', $string('status'), $mform));

        $mform->addElement('text', 'deadline', $string('deadline'), ['size' => 4]);
        $mform->setType('deadline', PARAM_INT);
        $mform->setDefault('deadline', settings::DEFAULT_DEADLINE);
        $mform->addHelpButton('deadline', 'deadline', 'aiprovider_sidecar');

        $mform->addElement('advcheckbox', 'releasesession', $string('releasesession'));
        $mform->setDefault('releasesession', 1);
        $mform->addHelpButton('releasesession', 'releasesession', 'aiprovider_sidecar');

        $mform->addElement('course', 'courses', $string('courses'), ['multiple' => true]);
        $mform->addHelpButton('courses', 'courses', 'aiprovider_sidecar');
    }

    /**
     * Return what is wrong with the values of the form.
     *
     * @param array $data The values, by name.
     * @return array|bool Sentences by field, or true.
     */
    public static function validate(array $data): array|bool {
        $errors = [];
        if (array_key_exists('url', $data) && settings::base_of((string) $data['url']) === '') {
            $errors['url'] = get_string('urlinvalid', 'aiprovider_sidecar');
        }
        $deadline = (int) ($data['deadline'] ?? settings::DEFAULT_DEADLINE);
        if ($deadline < 1 || $deadline > settings::MAX_DEADLINE) {
            $errors['deadline'] = get_string('deadlineinvalid', 'aiprovider_sidecar', settings::MAX_DEADLINE);
        }
        return $errors ?: true;
    }
}
