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

/**
 * Settings of the provider in Moodle 4.5. Newer versions have a form for each instance instead, and ignore this file.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

if ($hassiteconfig && $ADMIN->fulltree) {
    $text = static fn(string $id): lang_string => new lang_string($id, 'aiprovider_sidecar');

    $settings->add(new \aiprovider_sidecar\admin\setting_url(
        'aiprovider_sidecar/url',
        $text('url'),
        $text('url_help'),
        \aiprovider_sidecar\local\settings::DEFAULT_URL,
        PARAM_RAW_TRIMMED,
        60,
    ));
    $settings->add(new admin_setting_configpasswordunmask(
        'aiprovider_sidecar/token',
        $text('token'),
        $text('token_help'),
        '',
    ));
    $settings->add(new \aiprovider_sidecar\admin\setting_status('aiprovider_sidecar/status', $text('status'), ''));
    $settings->add(new admin_setting_configtext(
        'aiprovider_sidecar/deadline',
        $text('deadline'),
        $text('deadline_help'),
        \aiprovider_sidecar\local\settings::DEFAULT_DEADLINE,
        PARAM_INT,
        4,
    ));
    $settings->add(new admin_setting_configcheckbox(
        'aiprovider_sidecar/releasesession',
        $text('releasesession'),
        $text('releasesession_help'),
        1,
    ));
    $settings->add(new admin_setting_configtext(
        'aiprovider_sidecar/courses',
        $text('courses'),
        $text('courses_ids_help'),
        '',
        PARAM_SEQUENCE,
    ));
    foreach (['global' => 100, 'user' => 10] as $scope => $number) {
        $settings->add(new admin_setting_configcheckbox(
            "aiprovider_sidecar/enable{$scope}ratelimit",
            $text("enable{$scope}ratelimit"),
            '',
            0,
        ));
        $settings->add(new admin_setting_configtext(
            "aiprovider_sidecar/{$scope}ratelimit",
            $text("{$scope}ratelimit"),
            '',
            $number,
            PARAM_INT,
            4,
        ));
        $settings->hide_if(
            "aiprovider_sidecar/{$scope}ratelimit",
            "aiprovider_sidecar/enable{$scope}ratelimit",
            'eq',
            0,
        );
    }
}
