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
 * The table of pages: the summary of each, or the job that makes it.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class page_store {
    /** @var int The job waits or runs. */
    public const QUEUED = 0;

    /** @var int The summary is there. */
    public const COMPLETE = 1;

    /** @var int The job failed. */
    public const FAILED = 2;

    /** @var int Jobs that may fail for one text; then the text is left alone until it changes. */
    public const MAX_ATTEMPTS = 3;

    /** @var string The table. */
    private const TABLE = 'aiprovider_sidecar_pages';

    /**
     * Return the row of a page.
     *
     * @param int $contextid The page's context.
     * @return \stdClass|null
     */
    public static function find(int $contextid): ?\stdClass {
        global $DB;
        return $DB->get_record(self::TABLE, ['contextid' => $contextid]) ?: null;
    }

    /**
     * Return the rows whose job has not ended, by its id.
     *
     * @param int $providerid The provider instance.
     * @param int $most Number of rows.
     * @return \stdClass[] Oldest first.
     */
    public static function queued(int $providerid, int $most): array {
        global $DB;
        $conditions = ['providerid' => $providerid, 'status' => self::QUEUED];
        return $DB->get_records(self::TABLE, $conditions, 'timemodified, id', '*', 0, $most);
    }

    /**
     * Return the number of rows whose job has not ended.
     *
     * @param int $providerid The provider instance.
     * @return int
     */
    public static function count_queued(int $providerid): int {
        global $DB;
        return $DB->count_records(self::TABLE, ['providerid' => $providerid, 'status' => self::QUEUED]);
    }

    /**
     * Store that a job makes the summary of a page, in place of the summary of an older text.
     *
     * @param \stdClass $row With contextid, courseid, providerid, contenthash and jobid.
     */
    public static function enqueue(\stdClass $row): void {
        global $DB;
        $row->timemodified = \core\di::get(\core\clock::class)->time();
        $row->status = self::QUEUED;
        $row->summary = null;
        $old = self::find($row->contextid);
        if ($old) {
            $row->id = $old->id;
            $row->attempts = $old->contenthash === $row->contenthash ? $old->attempts : 0;
            $DB->update_record(self::TABLE, $row);
        } else {
            $row->timecreated = $row->timemodified;
            $row->attempts = 0;
            $DB->insert_record(self::TABLE, $row);
        }
    }

    /**
     * Store the summary that a job made.
     *
     * @param \stdClass $row
     * @param string $summary
     */
    public static function complete(\stdClass $row, string $summary): void {
        self::update($row, [
            'status' => self::COMPLETE,
            'summary' => str_replace("\0", '', $summary),
            'timecreated' => \core\di::get(\core\clock::class)->time(),
        ]);
    }

    /**
     * Store that a job failed. An earlier failure of the same text counts.
     *
     * @param \stdClass $row
     */
    public static function fail(\stdClass $row): void {
        self::update($row, ['status' => self::FAILED, 'attempts' => $row->attempts + 1]);
    }

    /**
     * Store that the sidecar does not take the text of a page. It is left alone until it changes.
     *
     * @param \stdClass $row As for enqueue(), without a job.
     */
    public static function refuse(\stdClass $row): void {
        $row->jobid = '';
        self::enqueue($row);
        self::update(self::find($row->contextid), ['status' => self::FAILED, 'attempts' => self::MAX_ATTEMPTS]);
    }

    /**
     * Store that the text of a page is the same as before, though the page was saved again.
     *
     * @param \stdClass $row
     */
    public static function touch(\stdClass $row): void {
        self::update($row, []);
    }

    /**
     * Delete rows.
     *
     * @param array $conditions
     */
    public static function delete(array $conditions): void {
        global $DB;
        $DB->delete_records(self::TABLE, $conditions);
    }

    /**
     * Delete the rows of an instance for courses that are no longer chosen.
     *
     * @param int $providerid The provider instance.
     * @param int[] $courses The chosen courses.
     */
    public static function delete_others(int $providerid, array $courses): void {
        global $DB;
        [$in, $params] = $DB->get_in_or_equal($courses ?: [0], SQL_PARAMS_NAMED, 'course', false);
        $select = "providerid = :providerid AND courseid {$in}";
        $DB->delete_records_select(self::TABLE, $select, $params + ['providerid' => $providerid]);
    }

    /**
     * Delete the rows of instances that are gone.
     *
     * @param int[] $providerids The instances that are there.
     */
    public static function delete_orphans(array $providerids): void {
        global $DB;
        [$in, $params] = $DB->get_in_or_equal($providerids ?: [-1], SQL_PARAMS_NAMED, 'provider', false);
        $DB->delete_records_select(self::TABLE, "providerid {$in}", $params);
    }

    /**
     * Update a row.
     *
     * @param \stdClass $row
     * @param array $values
     */
    private static function update(\stdClass $row, array $values): void {
        global $DB;
        $now = \core\di::get(\core\clock::class)->time();
        $DB->update_record(self::TABLE, (object) (['id' => $row->id, 'timemodified' => $now] + $values));
    }
}
