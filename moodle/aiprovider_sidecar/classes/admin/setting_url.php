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

namespace aiprovider_sidecar\admin;

use aiprovider_sidecar\local\settings;

defined('MOODLE_INTERNAL') || die();

require_once("{$CFG->libdir}/adminlib.php");

/**
 * The address of the sidecar on the settings page of Moodle 4.5.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class setting_url extends \admin_setting_configtext {
    #[\Override]
    public function validate($data) {
        if (settings::base_of((string) $data) === '') {
            return get_string('urlinvalid', 'aiprovider_sidecar');
        }
        return parent::validate($data);
    }
}
