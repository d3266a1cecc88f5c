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
use aiprovider_sidecar\local\status_check;

defined('MOODLE_INTERNAL') || die();

require_once("{$CFG->libdir}/adminlib.php");

/**
 * The test line of the settings page of Moodle 4.5. It runs when the page is shown, with the settings as they are saved.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class setting_status extends \admin_setting_description {
    #[\Override]
    public function output_html($data, $query = '') {
        $this->description = status_check::line(settings::from_config((array) get_config('aiprovider_sidecar')));
        return parent::output_html($data, $query);
    }
}
