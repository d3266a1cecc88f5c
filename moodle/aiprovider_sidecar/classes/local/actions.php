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
 * The actions of the provider: those of this Moodle that are about text.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class actions {
    /** @var string[] Names of the action classes. Moodle 4.5 has no explain_text. */
    private const NAMES = ['generate_text', 'summarise_text', 'explain_text'];

    /**
     * Return the actions that this Moodle has.
     *
     * @return string[] Names of classes.
     */
    public static function available(): array {
        $classes = array_map(static fn(string $name): string => "core_ai\\aiactions\\{$name}", self::NAMES);
        return array_values(array_filter($classes, 'class_exists'));
    }
}
