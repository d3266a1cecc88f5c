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
 * Moodle's check of outgoing requests, which here lets one more address through: the one that an administrator set.
 *
 * Moodle blocks addresses of its own machine and most ports, so that no user can make it fetch from there. The sidecar
 * is there. No user can choose its address, so exactly that one is no risk; every other one is core's to judge.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class security_helper extends \core\files\curl_security_helper {
    /**
     * Constructor.
     *
     * @param string $allowed The address of the request, without a query string.
     */
    public function __construct(
        /** @var string The address of the request, without a query string. */
        private readonly string $allowed,
    ) {
    }

    #[\Override]
    public function url_is_blocked($urlstring, $notused = null) {
        $allowed = self::normalised($this->allowed);
        if ($allowed !== null && self::normalised((string) $urlstring) === $allowed) {
            return false;
        }
        return parent::url_is_blocked($urlstring);
    }

    /**
     * Return an address without its query string, written in one way only. Guzzle drops ports that are the default.
     *
     * @param string $url
     * @return string|null Null for what is no address.
     */
    private static function normalised(string $url): ?string {
        $parts = parse_url($url);
        if (!is_array($parts) || empty($parts['scheme']) || empty($parts['host']) || isset($parts['user'])) {
            return null;
        }
        $scheme = strtolower($parts['scheme']);
        $port = $parts['port'] ?? ($scheme === 'https' ? 443 : 80);
        return "{$scheme}://" . strtolower($parts['host']) . ":{$port}" . ($parts['path'] ?? '/');
    }
}
