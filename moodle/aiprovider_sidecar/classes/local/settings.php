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
 * How to reach the sidecar: an instance's settings in Moodle 5, the site's in Moodle 4.5.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class settings {
    /** @var string The address at which the sidecar listens on the machine of Moodle. */
    public const DEFAULT_URL = 'http://127.0.0.1:8081';

    /** @var int Seconds for one answer, the sidecar's own default. */
    public const DEFAULT_DEADLINE = 25;

    /** @var int The most seconds that can be set: no web server waits longer for a page. */
    public const MAX_DEADLINE = 600;

    /** @var string Ends of an address that an administrator may have copied along. */
    private const ENDS = '~(/v1/chat/completions|/chat/completions|/v1|/ai)?/*$~D';

    /**
     * Constructor.
     *
     * @param string $base The address without path, as http://127.0.0.1:8081; blank if none is set.
     * @param string $token The sidecar's token; blank if it has none.
     * @param int $deadline Seconds from the request's arrival in which the sidecar must answer.
     * @param bool $releasesession Whether the session's lock is released before a call.
     * @param int[] $courses Courses whose pages are summarised at night.
     */
    public function __construct(
        /** @var string The address without path. */
        public readonly string $base,
        /** @var string The sidecar's token. */
        #[\SensitiveParameter] public readonly string $token = '',
        /** @var int Seconds for one answer. */
        public readonly int $deadline = self::DEFAULT_DEADLINE,
        /** @var bool Whether the session's lock is released before a call. */
        public readonly bool $releasesession = true,
        /** @var int[] Courses whose pages are summarised at night. */
        public readonly array $courses = [],
    ) {
    }

    /**
     * Return the settings in a provider's configuration. Keys that are absent have their defaults.
     *
     * @param array $config With the keys url, token, deadline, releasesession and courses.
     * @return self
     */
    public static function from_config(array $config): self {
        $deadline = (int) ($config['deadline'] ?? 0);
        $courses = $config['courses'] ?? [];
        $courses = array_map('intval', is_array($courses) ? $courses : explode(',', (string) $courses));
        return new self(
            base: self::base_of((string) ($config['url'] ?? '')),
            token: trim((string) ($config['token'] ?? '')),
            deadline: $deadline > 0 ? min($deadline, self::MAX_DEADLINE) : self::DEFAULT_DEADLINE,
            releasesession: (bool) ($config['releasesession'] ?? true),
            courses: array_values(array_unique(array_filter($courses, static fn(int $id): bool => $id > 0))),
        );
    }

    /**
     * Return whether an address is set that can be called.
     *
     * @return bool
     */
    public function is_complete(): bool {
        return $this->base !== '';
    }

    /**
     * Return the address without the ends that are part of the API; blank if it is no address of HTTP.
     *
     * @param string $url As an administrator wrote it.
     * @return string
     */
    public static function base_of(string $url): string {
        $base = preg_replace(self::ENDS, '', trim($url));
        $parts = parse_url($base);
        $unfit = !is_array($parts) || empty($parts['host']) || preg_match('~[\s\x00-\x1f\\\\]~', $base) ||
            array_intersect_key($parts, ['user' => 1, 'pass' => 1, 'query' => 1, 'fragment' => 1]);
        if ($unfit || !in_array(strtolower($parts['scheme'] ?? ''), ['http', 'https'], true)) {
            return '';
        }
        return $base;
    }
}
