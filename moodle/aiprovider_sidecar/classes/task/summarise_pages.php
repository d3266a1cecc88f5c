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

namespace aiprovider_sidecar\task;

use aiprovider_sidecar\local\page_store;
use aiprovider_sidecar\local\page_summaries;
use aiprovider_sidecar\provider;

/**
 * Makes summaries of the pages of chosen courses at night, so that a class's first click in the morning costs no call.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class summarise_pages extends \core\task\scheduled_task {
    #[\Override]
    public function get_name() {
        return get_string('summarisepages', 'aiprovider_sidecar');
    }

    #[\Override]
    public function execute() {
        $failures = [];
        $providers = self::providers();
        page_store::delete_orphans(array_map(static fn(provider $one): int => $one->get_instance_id(), $providers));
        foreach (array_filter($providers, [self::class, 'is_in_use']) as $provider) {
            try {
                (new page_summaries($provider, mtrace(...)))->run();
            } catch (\moodle_exception $e) {
                $failures[] = $e;
            }
        }
        if ($failures) {
            throw $failures[0]; // The other instances had their turn.
        }
    }

    /**
     * Return whether a provider is enabled and set up. The summaries of one that is not are kept.
     *
     * @param provider $provider
     * @return bool
     */
    private static function is_in_use(provider $provider): bool {
        $enabled = $provider->enabled ?? \core\plugininfo\aiprovider::is_plugin_enabled('sidecar');
        return $enabled && $provider->is_provider_configured();
    }

    /**
     * Return the providers of this type.
     *
     * @return provider[]
     */
    private static function providers(): array {
        $manager = \core\di::get(\core_ai\manager::class);
        if (!method_exists($manager, 'get_provider_instances')) {
            return [new provider()];
        }
        return array_values($manager->get_provider_instances(['provider' => provider::class]));
    }
}
