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
 * Makes summaries of pages at night: which pages need one, and the jobs that make them.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class page_summaries {
    /** @var int The most jobs of an instance that wait at once. */
    public const MAX_WAITING = 1000;

    /** @var int The most pages that one run of the task enqueues. */
    public const MAX_PER_RUN = 200;

    /** @var int The most jobs in one request. */
    private const JOBS_IN_REQUEST = 50;

    /** @var int The most bytes of texts in one request, and of one text. */
    private const BYTES_IN_REQUEST = 4 * 1024 * 1024;

    /** @var string[] Codes of a sidecar that has no room or restarts: the next run goes on. */
    private const BUSY = ['overloaded', 'shutting_down'];

    /** @var string[] Codes of a sidecar that does not take a text. One such text refuses its whole batch. */
    private const UNFIT = ['invalid_request', 'too_large'];

    /** @var int Seconds after which a job that the sidecar does not know is lost: it keeps results for three days. */
    private const LOST_AFTER = 4 * DAYSECS;

    /** @var \Closure(string): void Takes lines for the log of the task. */
    private readonly \Closure $log;

    /**
     * Constructor.
     *
     * @param has_settings $provider
     * @param callable|null $log Takes lines for the log of the task.
     */
    public function __construct(
        /** @var has_settings The provider whose sidecar makes the summaries. */
        private readonly has_settings $provider,
        ?callable $log = null,
    ) {
        $this->log = $log === null ? static fn(string $line) => null : $log(...);
    }

    /**
     * Collect the summaries that are done, then enqueue pages that need one.
     *
     * Each step is stored when it is done, so a run that is cut off loses nothing, and the next one goes on. The sidecar
     * takes the same text twice as one job, so nothing is paid twice.
     *
     * @throws \moodle_exception If the sidecar takes no jobs.
     */
    public function run(): void {
        $settings = $this->provider->get_sidecar_settings();
        page_store::delete_others($this->provider->get_instance_id(), $settings->courses);
        $this->collect($settings);
        if ($settings->courses) {
            $this->enqueue($settings);
        }
    }

    /**
     * Store the results of jobs that have ended.
     *
     * @param settings $settings
     */
    private function collect(settings $settings): void {
        $rows = page_store::queued($this->provider->get_instance_id(), self::MAX_WAITING);
        if (!$rows) {
            return;
        }
        // Plain text, as Moodle's own instruction asks for: its page shows no Markdown.
        $body = ['job_ids' => array_values(array_unique(array_column($rows, 'jobid'))), 'format' => 'text'];
        $jobs = $this->ask($settings, '/jobs/status', $body);
        if (is_string($jobs)) {
            return;
        }
        $jobs = array_column($jobs, null, 'job_id');
        $now = \core\di::get(\core\clock::class)->time();
        $counts = ['complete' => 0, 'failed' => 0, 'waiting' => 0];
        foreach ($rows as $row) {
            $job = $jobs[$row->jobid] ?? [];
            $status = $job['status'] ?? 'unknown';
            $summary = $job['data'] ?? null;
            if ($status === 'complete' && is_string($summary) && trim($summary) !== '') {
                page_store::complete($row, $summary);
                $counts['complete']++;
            } else if (in_array($status, ['queued', 'in_progress'], true) && $row->timemodified > $now - self::LOST_AFTER) {
                $counts['waiting']++;
            } else {
                page_store::fail($row);
                $counts['failed']++;
            }
        }
        ($this->log)("Summaries: {$counts['complete']} complete, {$counts['failed']} failed, {$counts['waiting']} waiting");
    }

    /**
     * Enqueue pages that have no summary of their text.
     *
     * @param settings $settings
     */
    private function enqueue(settings $settings): void {
        $waiting = page_store::count_queued($this->provider->get_instance_id());
        $left = min(self::MAX_PER_RUN, self::MAX_WAITING - $waiting);
        $batch = [];
        $bytes = 0;
        foreach ($left > 0 ? $this->pages_in_need($settings->courses) : [] as [$row, $text]) {
            if ($batch && (count($batch) >= self::JOBS_IN_REQUEST || $bytes + strlen($text) > self::BYTES_IN_REQUEST)) {
                if (!$this->send($settings, $batch)) {
                    return;
                }
                $batch = [];
                $bytes = 0;
            }
            $batch[] = [$row, $text];
            $bytes += strlen($text);
            if (--$left <= 0) {
                break;
            }
        }
        if ($batch) {
            $this->send($settings, $batch);
        }
    }

    /**
     * Enqueue a batch of pages; one by one, if the sidecar does not take one of them.
     *
     * @param settings $settings
     * @param array $batch Pairs of a row and the text of its page.
     * @return bool False if the sidecar takes no more jobs now.
     */
    private function send(settings $settings, array $batch): bool {
        $jobs = array_map(static fn(array $one): array => ['action' => 'summarize', 'content' => $one[1]], $batch);
        $taken = $this->ask($settings, '/jobs', ['jobs' => $jobs]);
        if (is_string($taken) && in_array($taken, self::UNFIT, true)) {
            if (count($batch) === 1) {
                page_store::refuse($batch[0][0]);
                return true;
            }
            foreach ($batch as $one) {
                if (!$this->send($settings, [$one])) {
                    return false;
                }
            }
            return true;
        }
        if (is_string($taken)) {
            return false;
        }
        foreach ($batch as $n => [$row]) {
            if (is_string($taken[$n]['job_id'] ?? null)) {
                $row->jobid = $taken[$n]['job_id'];
                page_store::enqueue($row);
            }
        }
        ($this->log)('Pages enqueued: ' . count($batch));
        return true;
    }

    /**
     * Send a request about jobs, and return the jobs in the reply.
     *
     * @param settings $settings
     * @param string $path
     * @param array $body
     * @return array[]|string Or a code among BUSY or UNFIT.
     * @throws \moodle_exception If the sidecar refuses for another reason, or is not reached.
     */
    private function ask(settings $settings, string $path, array $body): array|string {
        $reply = \core\di::get(client::class)->post($settings, $path, [], $body);
        $jobs = $reply->data['jobs'] ?? null;
        if ($reply->fault !== '' || !in_array($reply->status, [200, 202], true) || !is_array($jobs)) {
            $code = $reply->fault ?: ($reply->data['code'] ?? 'bad_answer');
            $failure = answer::failure(is_string($code) ? $code : 'bad_answer', $reply->status, $reply->requestid);
            if (in_array($code, [...self::BUSY, ...self::UNFIT], true)) {
                ($this->log)(get_string('jobsfailed', 'aiprovider_sidecar', $failure['errormessage']));
                return $code;
            }
            throw new \moodle_exception('jobsfailed', 'aiprovider_sidecar', '', $failure['errormessage']);
        }
        return array_filter($jobs, 'is_array');
    }

    /**
     * Yield pages that need a summary.
     *
     * @param int[] $courses
     * @return \Generator Pairs of a row for the store, without a job, and the text of the page.
     */
    private function pages_in_need(array $courses): \Generator {
        global $DB;
        foreach ($courses as $courseid) {
            if (!$DB->record_exists('course', ['id' => $courseid])) {
                continue;
            }
            foreach (get_fast_modinfo($courseid)->get_instances_of('page') as $cm) {
                $page = $this->is_open($cm) ? $DB->get_record('page', ['id' => $cm->instance]) : null;
                if ($page && ($pair = $this->pair($page, $cm))) {
                    yield $pair;
                }
            }
        }
    }

    /**
     * Return whether people see the page, with the button: Moodle 5.1 and newer can switch the button off for each page.
     *
     * @param \cm_info $cm
     * @return bool
     */
    private function is_open(\cm_info $cm): bool {
        if (!$cm->visible || $cm->deletioninprogress) {
            return false;
        }
        $manager = \core\di::get(\core_ai\manager::class);
        return !method_exists($manager, 'is_action_enabled_in_context') ||
            $manager->is_action_enabled_in_context($cm->context, \core_ai\aiactions\summarise_text::class);
    }

    /**
     * Return a row and the text for a page that needs a summary, or null.
     *
     * @param \stdClass $page
     * @param \cm_info $cm
     * @return array|null
     */
    private function pair(\stdClass $page, \cm_info $cm): ?array {
        $row = page_store::find($cm->context->id);
        $tried = $row && ($row->status != page_store::FAILED || $row->attempts >= page_store::MAX_ATTEMPTS);
        if ($tried && $row->timemodified > $page->timemodified) {
            return null;
        }
        $text = page_text::of_page($page, $cm->context);
        if ($tried && $row->contenthash === $text->hash) {
            page_store::touch($row);
            return null;
        }
        if ($text->text === '' || strlen($text->text) > self::BYTES_IN_REQUEST) {
            return null;
        }
        return [(object) [
            'contextid' => $cm->context->id,
            'courseid' => $cm->course,
            'providerid' => $this->provider->get_instance_id(),
            'contenthash' => $text->hash,
        ], $text->text];
    }
}
