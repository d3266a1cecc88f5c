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
 * The test line of the settings: whether the sidecar is reached, takes the token, and which model answers behind it.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class status_check {
    /** @var float Seconds for each of two requests. The sidecar answers both from what it knows; a form waits for them. */
    private const SECONDS = 1.5;

    /** @var int Names of models that are listed. */
    private const MODELS = 5;

    /**
     * Return one line on the state of the sidecar, as HTML.
     *
     * @param settings $settings How to reach the sidecar.
     * @return string
     */
    public static function line(settings $settings): string {
        [$string, $a] = self::state($settings);
        return s(get_string($string, 'aiprovider_sidecar', $a));
    }

    /**
     * Return the state of the sidecar.
     *
     * @param settings $settings How to reach the sidecar.
     * @return array The id of a string, and the string's parameter.
     */
    public static function state(settings $settings): array {
        if (!$settings->is_complete()) {
            return ['status:noaddress', null];
        }
        $client = \core\di::get(client::class);
        $models = $client->get($settings, '/v1/models', self::SECONDS);
        if ($models->fault !== '') {
            return ['status:unreachable', $settings->base];
        }
        if ($models->status === 401) {
            return ['status:token', null];
        }
        if ($models->status !== 200 || !is_array($models->data['data'] ?? null)) {
            return ['status:nosidecar', $settings->base];
        }
        $ready = $client->get($settings, '/ready', self::SECONDS);
        $checks = $ready->data['checks'] ?? [];
        if (($checks['server'] ?? '') === 'draining') {
            return ['status:draining', null];
        }
        $down = ($checks['provider'] ?? '') === 'down';
        return [$down ? 'status:providerdown' : 'status:ok', self::names($models->data['data'])];
    }

    /**
     * Return the names of models, separated by commas.
     *
     * @param array $models As /v1/models lists them.
     * @return string
     */
    private static function names(array $models): string {
        $ids = array_filter(array_column(array_filter($models, 'is_array'), 'id'), 'is_string');
        $names = array_map(static fn(string $id): string => mb_substr($id, 0, 60), array_slice($ids, 0, self::MODELS));
        return implode(', ', $names) . (count($ids) > self::MODELS ? ', …' : '');
    }
}
