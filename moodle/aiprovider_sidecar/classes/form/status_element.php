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

namespace aiprovider_sidecar\form;

use aiprovider_sidecar\local\settings;
use aiprovider_sidecar\local\status_check;

defined('MOODLE_INTERNAL') || die();

require_once("{$CFG->libdir}/formslib.php");
require_once("{$CFG->libdir}/form/static.php");

/**
 * The test line of the instance form. It runs when the form is shown, with the values that the form shows.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class status_element extends \MoodleQuickForm_static {
    /** @var \MoodleQuickForm|null The form with the fields url and token. */
    private ?\MoodleQuickForm $mform;

    /**
     * Constructor.
     *
     * @param string|null $name The element's name.
     * @param string|null $label The element's label.
     * @param \MoodleQuickForm|null $mform The form with the fields url and token.
     */
    public function __construct($name = null, $label = null, $mform = null) {
        parent::__construct($name, $label, '');
        $this->mform = $mform;
    }

    // phpcs:disable moodle.NamingConventions.ValidFunctionName.LowercaseMethod -- The name is QuickForm's.
    #[\Override]
    public function toHtml() {
        if ($this->mform === null) {
            return '';
        }
        return status_check::line(settings::from_config([
            'url' => $this->mform->getElementValue('url'),
            'token' => $this->mform->getElementValue('token'),
        ]));
    }
    // phpcs:enable
}
