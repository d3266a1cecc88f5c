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
 * The lock of the user's session, which makes all other pages of the same user wait while a call runs.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class session_lock {
    /** @var string The script that serves Moodle's ajax calls. */
    private const AJAX_SERVICE = '/lib/ajax/service.php';

    /** @var string Web service functions that write nothing to the session after a call: those of core's placements. */
    private const PLACEMENTS = '~^aiplacement_(courseassist|editor)_[a-z0-9_]+$~D';

    /**
     * Write the session and release its lock, if nothing later in this request can write to the session.
     *
     * @return bool Whether the lock was released.
     */
    public static function release_if_safe(): bool {
        global $SCRIPT;
        if (!AJAX_SCRIPT || !self::is_safe((string) $SCRIPT, (string) file_get_contents('php://input'))) {
            return false;
        }
        \core\session\manager::write_close();
        return true;
    }

    /**
     * Return whether the request consists of calls of AI placements only.
     *
     * A page of another plugin, or another call behind ours in the same request, could write to the session
     * afterwards, and what it wrote would be lost.
     *
     * @param string $script The script that runs, from the root of the site.
     * @param string $body The body of the request.
     * @return bool
     */
    public static function is_safe(string $script, string $body): bool {
        if ($script !== self::AJAX_SERVICE) {
            return false;
        }
        $calls = json_decode($body, true);
        if (!is_array($calls) || !$calls) {
            return false;
        }
        foreach ($calls as $call) {
            $name = $call['methodname'] ?? null;
            if (!is_string($name) || !preg_match(self::PLACEMENTS, $name)) {
                return false;
            }
        }
        return true;
    }
}
