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

use core_ai\aiactions\base;
use core_ai\rate_limiter;

/**
 * The provider for Moodle 4.5, where the settings are those of the site.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class site_provider extends \core_ai\provider implements has_settings {
    #[\Override]
    public function get_action_list(): array {
        return actions::available();
    }

    #[\Override]
    public function get_sidecar_settings(): settings {
        return settings::from_config((array) get_config('aiprovider_sidecar'));
    }

    #[\Override]
    public function get_instance_id(): int {
        return 0;
    }

    #[\Override]
    public function is_provider_configured(): bool {
        return $this->get_sidecar_settings()->is_complete();
    }

    #[\Override]
    public function generate_userid(string $userid): string {
        global $CFG;
        return hash('sha256', $CFG->siteidentifier . $userid);
    }

    #[\Override]
    public function is_request_allowed(base $action): array|bool {
        $config = get_config('aiprovider_sidecar');
        $limiter = \core\di::get(rate_limiter::class);
        $userid = $action->get_configuration('userid');
        if (
            !empty($config->enableuserratelimit) &&
            !$limiter->check_user_rate_limit('aiprovider_sidecar', (int) $config->userratelimit, $userid)
        ) {
            return answer::failure('limited', 429);
        }
        if (
            !empty($config->enableglobalratelimit) &&
            !$limiter->check_global_rate_limit('aiprovider_sidecar', (int) $config->globalratelimit)
        ) {
            return answer::failure('limited', 429);
        }
        return true;
    }
}
