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

/**
 * The provider, for each shape of Moodle's AI subsystem.
 *
 * Moodle 5.0 made providers into instances, and get_action_list() static. No class can extend both bases, so each has
 * one of its own; what they do is in local/instance_provider.php and local/site_provider.php.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

namespace aiprovider_sidecar;

defined('MOODLE_INTERNAL') || die();

// phpcs:disable PSR1.Classes.ClassDeclaration.MultipleClasses -- Only one of the two is declared.
// phpcs:disable Generic.Classes.DuplicateClassName.Found
if (method_exists(\core_ai\manager::class, 'create_provider_instance')) {
    /**
     * The provider as one of several instances, for Moodle 5.0 and newer.
     */
    class provider extends local\instance_provider {
    }
} else {
    /**
     * The provider as the only one of its kind on the site, for Moodle 4.5.
     */
    class provider extends local\site_provider {
    }
}
