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

namespace aiprovider_sidecar\local;

/**
 * A provider that knows how to reach its sidecar, in each version of Moodle.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
interface has_settings {
    /**
     * Return how to reach the sidecar.
     *
     * @return settings
     */
    public function get_sidecar_settings(): settings;

    /**
     * Return the id of the instance; 0 where there is one provider for the site.
     *
     * @return int
     */
    public function get_instance_id(): int;

    /**
     * Return the pseudonym of a user: a hash of site and user.
     *
     * @param string $userid The id of the user.
     * @return string
     */
    public function generate_userid(string $userid): string;
}
