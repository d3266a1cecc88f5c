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
 * Serves the summaries that were made at night.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class stored_summary {
    /**
     * Return the stored summary of the page that a text is of, or null.
     *
     * Null also for a person who had it already: a repeated request is the wish for another summary.
     *
     * @param settings $settings
     * @param int $contextid The context of the action.
     * @param string $prompt The text that the placement sent.
     * @param int $userid
     * @return string|null
     */
    public static function find(settings $settings, int $contextid, string $prompt, int $userid): ?string {
        global $DB;
        $row = $settings->courses ? page_store::find($contextid) : null;
        if (!$row || $row->status != page_store::COMPLETE || !in_array((int) $row->courseid, $settings->courses, true)) {
            return null;
        }
        $context = \context::instance_by_id($contextid, IGNORE_MISSING);
        if (!$context instanceof \context_module) {
            return null;
        }
        $sql = "SELECT p.* FROM {page} p JOIN {course_modules} cm ON cm.instance = p.id
                  JOIN {modules} m ON m.id = cm.module WHERE cm.id = ? AND m.name = ?";
        $page = $DB->get_record_sql($sql, [$context->instanceid, 'page']);
        $text = $page ? page_text::of_page($page, $context) : null;
        if (!$text || $text->hash !== $row->contenthash || !$text->is_in($prompt)) {
            return null;
        }
        return self::had($contextid, $userid, (int) $row->timecreated) ? null : $row->summary;
    }

    /**
     * Return whether a person had a summary of a page since a time.
     *
     * @param int $contextid
     * @param int $userid
     * @param int $since
     * @return bool
     */
    private static function had(int $contextid, int $userid, int $since): bool {
        global $DB;
        return $DB->record_exists_select(
            'ai_action_register',
            'userid = ? AND contextid = ? AND actionname = ? AND success = 1 AND timecompleted >= ?',
            [$userid, $contextid, 'summarise_text', $since],
        );
    }
}
