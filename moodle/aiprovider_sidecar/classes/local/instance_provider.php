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
 * The provider for Moodle 5.0 and newer, where each instance has its settings.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class instance_provider extends \core_ai\provider implements has_settings {
    #[\Override]
    public static function get_action_list(): array {
        return actions::available();
    }

    #[\Override]
    public function get_sidecar_settings(): settings {
        return settings::from_config($this->config);
    }

    #[\Override]
    public function get_instance_id(): int {
        return (int) $this->id;
    }

    #[\Override]
    public function is_provider_configured(): bool {
        return $this->get_sidecar_settings()->is_complete();
    }
}
