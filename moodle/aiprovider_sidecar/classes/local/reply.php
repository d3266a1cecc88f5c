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
 * The outcome of one HTTP request to the sidecar. A request that failed is a reply as well.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class reply {
    /**
     * Constructor.
     *
     * @param int $status The HTTP status; 0 without a response.
     * @param array $data The decoded JSON object; empty if there is none.
     * @param string $requestid The request's id, as the sidecar's log has it.
     * @param string $fault Why there is no response: unreachable or no_answer; blank if there is one.
     */
    public function __construct(
        /** @var int The HTTP status. */
        public readonly int $status,
        /** @var array The decoded JSON object. */
        public readonly array $data,
        /** @var string The request's id. */
        public readonly string $requestid,
        /** @var string Why there is no response. */
        public readonly string $fault = '',
    ) {
    }
}
