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

namespace aiprovider_sidecar;

use aiprovider_sidecar\local\page_store;
use core_ai\aiactions\summarise_text;
use GuzzleHttp\Psr7\Response;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/sidecar_testcase_trait.php');

/**
 * Tests of the summaries made at night.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class summarise_pages_test extends \advanced_testcase {
    use sidecar_testcase_trait;

    /** @var \stdClass The course. */
    private \stdClass $course;

    /** @var \stdClass The page. */
    private \stdClass $page;

    /** @var \context_module The page's context. */
    private \context_module $context;

    #[\Override]
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->course = $this->getDataGenerator()->create_course();
        $this->page = $this->getDataGenerator()->create_module('page', [
            'course' => $this->course->id,
            'content' => '<h4>Light</h4><p>Plants use <b>light</b> &amp; water to make sugar.</p>',
        ]);
        $this->context = \context_module::instance($this->page->cmid);
        // Moodle 5.1 creates a module with AI switched off where a form does not switch it on.
        if (method_exists(\core_ai\manager::class, 'get_ai_fields_from_course_module')) {
            global $DB;
            $DB->set_field('course_modules', 'enabledaiactions', null, ['id' => $this->page->cmid]);
        }
        $this->create_provider(['courses' => $this->course->id]);
    }

    /**
     * Run the scheduled task, and return what it wrote.
     *
     * @return string
     */
    private function run_task(): string {
        ob_start();
        try {
            (new task\summarise_pages())->execute();
        } finally {
            $said = ob_get_clean();
        }
        return $said;
    }

    /**
     * Return a reply about the job.
     *
     * @param string $status
     * @return Response
     */
    private function job(string $status): Response {
        $job = ['job_id' => 'job1', 'status' => $status, 'success' => true];
        return $this->json(['success' => true, 'jobs' => [$status === 'complete' ? $job + ['data' => 'A summary.'] : $job]], 202);
    }

    /**
     * Press the button with a text, and return what the person reads.
     *
     * @param int $userid
     * @param string $text
     * @return string
     */
    private function press(int $userid, string $text = "Light\nPlants use light & water to make sugar.\nToday"): string {
        $action = new summarise_text(contextid: $this->context->id, userid: $userid, prompttext: $text);
        $response = \core\di::get(\core_ai\manager::class)->process_action($action);
        return $response->get_response_data()['generatedcontent'] ?? $response->get_errormessage();
    }

    /**
     * From the page to the first click, which costs no call; the second of the same person does.
     *
     * @covers \aiprovider_sidecar\task\summarise_pages
     * @covers \aiprovider_sidecar\local\page_summaries
     * @covers \aiprovider_sidecar\local\page_text
     */
    public function test_night_and_morning(): void {
        global $DB;
        $this->answer_with($this->job('queued'), $this->job('in_progress'), $this->job('complete'), $this->completion('By day.'));
        $this->assertStringContainsString('Pages enqueued: 1', $this->run_task());
        $this->assertStringContainsString('1 waiting', $this->run_task());
        $this->assertStringContainsString('1 complete', $this->run_task());
        $this->assertSame('', $this->run_task());
        $body = json_decode((string) $this->requests[0]->getBody(), true);
        $content = "Light\nPlants use light & water to make sugar.";
        $this->assertSame([['action' => 'summarize', 'content' => $content]], $body['jobs']);
        $this->assertSame('A summary.', $this->press(3));
        $this->assertSame('A summary.', $this->press(4));
        $this->assertCount(3, $this->requests);
        $this->assertSame('By day.', $this->press(4));
        $this->assertEquals(3, $DB->count_records('ai_action_summarise_text'));
    }

    /**
     * A changed page, and another text, cost a call.
     *
     * @covers \aiprovider_sidecar\local\stored_summary
     */
    public function test_another_text(): void {
        global $DB;
        $this->answer_with($this->job('queued'), $this->job('complete'), $this->completion('Other.'), $this->completion('New.'));
        $this->run_task();
        $this->run_task();
        $this->assertSame('Other.', $this->press(3, 'Another page altogether.'));
        $DB->set_field('page', 'content', '<p>Something new.</p>', ['id' => $this->page->id]);
        $this->assertSame('New.', $this->press(4, 'Something new.'));
    }

    /**
     * Summaries go with their page, their course, and their course's place on the list.
     *
     * @covers \aiprovider_sidecar\observer
     * @covers \aiprovider_sidecar\local\page_store
     */
    public function test_deletion(): void {
        $other = $this->getDataGenerator()->create_module('page', ['course' => $this->course->id, 'content' => 'Text.']);
        $pair = [['job_id' => 'job1', 'status' => 'queued'], ['job_id' => 'job2', 'status' => 'queued']];
        $this->answer_with($this->json(['success' => true, 'jobs' => $pair], 202));
        $row = ['courseid' => $this->course->id, 'providerid' => 0, 'contenthash' => 'x', 'jobid' => 'j'];
        page_store::enqueue((object) ($row + ['contextid' => $this->context->id]));
        page_store::enqueue((object) ($row + ['contextid' => \context_module::instance($other->cmid)->id]));
        course_delete_module($other->cmid);
        $this->assertNotNull(page_store::find($this->context->id));
        $this->assertSame(1, page_store::count_queued(0));
        delete_course($this->course, false);
        $this->assertSame(0, page_store::count_queued(0));
        page_store::enqueue((object) ($row + ['contextid' => $this->context->id]));
        page_store::delete_others(0, [$this->course->id]);
        $this->assertSame(1, page_store::count_queued(0));
        page_store::delete_others(0, []);
        $this->assertSame(0, page_store::count_queued(0));
        page_store::enqueue((object) ($row + ['contextid' => $this->context->id]));
        page_store::delete_orphans([]);
        $this->assertSame(0, page_store::count_queued(0));
    }

    /**
     * The task is off until an administrator turns it on, and fails with a sentence where the sidecar takes no jobs.
     *
     * @covers \aiprovider_sidecar\task\summarise_pages
     */
    public function test_refusal(): void {
        $task = \core\task\manager::get_default_scheduled_task(task\summarise_pages::class);
        $this->assertTrue($task->get_disabled());
        $this->answer_with($this->json(['success' => false, 'error' => 'x', 'code' => 'jobs_unavailable'], 503));
        $this->expectException(\moodle_exception::class);
        $this->expectExceptionMessageMatches('~cannot take work for later .*Request~');
        $this->run_task();
    }
}
