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

namespace aiprovider_sidecar\privacy;

use core_privacy\local\metadata\collection;

/**
 * What leaves Moodle. The plugin itself stores nothing about a person.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class provider implements \core_privacy\local\metadata\provider {
    #[\Override]
    public static function get_metadata(collection $collection): collection {
        $collection->add_external_location_link('aiprovider_sidecar', [
            'prompttext' => 'privacy:metadata:sidecar:prompttext',
            'user' => 'privacy:metadata:sidecar:user',
        ], 'privacy:metadata:sidecar');
        return $collection;
    }
}
