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

use core_ai\aiactions\base;
use GuzzleHttp\Exception\ConnectException;
use GuzzleHttp\Exception\TransferException;
use GuzzleHttp\Psr7\Request;
use GuzzleHttp\Psr7\Response;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/sidecar_testcase_trait.php');

/**
 * Tests of the actions, through Moodle's AI manager.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class process_text_test extends \advanced_testcase {
    use sidecar_testcase_trait;

    #[\Override]
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
    }

    /**
     * Return an action.
     *
     * @param string $name
     * @return base
     */
    private function action(string $name = 'summarise_text'): base {
        $class = "core_ai\\aiactions\\{$name}";
        return new $class(contextid: SYSCONTEXTID, userid: 2, prompttext: 'A text.');
    }

    /**
     * Run an action, and return Moodle's response.
     *
     * @param string $name
     * @return \core_ai\aiactions\responses\response_base
     */
    private function process(string $name = 'summarise_text'): \core_ai\aiactions\responses\response_base {
        return \core\di::get(\core_ai\manager::class)->process_action($this->action($name));
    }

    /**
     * Each action is sent as the sidecar takes it, and its answer is stored.
     *
     * @covers \aiprovider_sidecar\abstract_processor
     * @covers \aiprovider_sidecar\local\client
     */
    public function test_each_action(): void {
        global $DB;
        $provider = $this->create_provider();
        $actions = $provider->get_action_list();
        $this->answer_with(...array_map(fn(): Response => $this->completion(), $actions));
        foreach ($actions as $n => $class) {
            $response = $this->process($class::get_basename());
            $this->assertTrue($response->get_success(), $response->get_errormessage());
            $data = $response->get_response_data();
            $this->assertSame('An answer.', $data['generatedcontent']);
            $this->assertEquals(11, $data['prompttokens']);
            $this->assertEquals(7, $data['completiontokens']);
            $request = $this->requests[$n];
            $expected = "http://127.0.0.1:8081/v1/chat/completions?action={$class::get_basename()}&deadline=25";
            $this->assertSame($expected, (string) $request->getUri());
            $this->assertSame('Bearer token-1', $request->getHeaderLine('Authorization'));
            $body = json_decode((string) $request->getBody(), true);
            $this->assertSame(['messages', 'user'], array_keys($body));
            $this->assertSame($provider->generate_userid('2'), $body['user']);
            $this->assertSame($class::get_system_instruction(), $body['messages'][0]['content']);
            $this->assertSame('A text.', $body['messages'][1]['content']);
        }
        $this->assertEquals(count($actions), $DB->count_records('ai_action_register', ['success' => 1]));
    }

    /**
     * No redirect, no proxy, and times that end after the sidecar's own.
     *
     * @covers \aiprovider_sidecar\local\client
     */
    public function test_options(): void {
        set_config('proxyhost', 'proxy.example');
        $this->create_provider(['deadline' => 12]);
        $this->answer_with($this->completion());
        $this->assertTrue($this->process()->get_success());
        $options = $this->options[0];
        $this->assertSame('', $options['proxy']);
        $this->assertFalse($options['allow_redirects']);
        $this->assertEquals(17, $options['timeout']);
        $this->assertEquals(5, $options['connect_timeout']);
    }

    /**
     * The address of the settings passes Moodle's default HTTP security, and no other one does.
     *
     * @covers \aiprovider_sidecar\local\security_helper
     */
    public function test_http_security(): void {
        set_config('curlsecurityblockedhosts', "127.0.0.0/8\nlocalhost");
        set_config('curlsecurityallowedport', "80\n443");
        $helper = new local\security_helper('http://127.0.0.1:8081/v1/models');
        $this->assertFalse($helper->url_is_blocked('http://127.0.0.1:8081/v1/models'));
        $this->assertTrue($helper->url_is_blocked('http://127.0.0.1:8081/status'));
        $this->assertTrue($helper->url_is_blocked('http://127.0.0.1/'));
    }

    /**
     * Failures, as the sidecar or the network has them.
     *
     * @return array
     */
    public static function failures(): array {
        $request = new Request('POST', 'http://127.0.0.1:8081/');
        return [
            'refused by the sidecar' => [new Response(429, [], '{"error": {"code": "overloaded"}}'), 429, 'Many people'],
            'no connection' => [new ConnectException('refused', $request, null, ['errno' => 7]), 503, 'is not running'],
            'too late' => [new ConnectException('late', $request, null, ['errno' => 28, 'connect_time' => 0.1]), 504, 'in time'],
            'any other exception of Guzzle' => [new TransferException('x'), 504, 'in time'],
            'an exception of another kind' => [new \RuntimeException('x'), 500, 'had a fault'],
            'another server' => [new Response(200, [], '<html>'), 502, 'cannot be read'],
            'a blank answer' => [new Response(200, [], '{"choices": [{"message": {"content": " "}}]}'), 502, 'no answer'],
        ];
    }

    /**
     * A failure is a sentence for the person, and never an exception.
     *
     * @dataProvider failures
     * @covers \aiprovider_sidecar\local\answer
     * @param mixed $outcome
     * @param int $status
     * @param string $words
     */
    public function test_failure(mixed $outcome, int $status, string $words): void {
        $this->create_provider();
        $this->answer_with($outcome);
        $response = $this->process();
        $this->assertFalse($response->get_success());
        $this->assertSame($status, $response->get_errorcode());
        $this->assertStringContainsString($words, $response->get_errormessage());
        if ($outcome instanceof \RuntimeException && !$outcome instanceof TransferException) {
            $this->assertDebuggingCalled();
        } else {
            $this->assertStringContainsString($this->requests[0]->getHeaderLine('X-Request-ID'), $response->get_errormessage());
        }
    }

    /**
     * After a failure Moodle asks the next provider.
     *
     * @covers \aiprovider_sidecar\abstract_processor
     */
    public function test_failover(): void {
        if (!$this->has_instances()) {
            $this->markTestSkipped('Moodle 4.5 has one provider of a kind.');
        }
        $this->create_provider();
        $this->create_provider(['url' => 'http://127.0.0.1:8082']);
        $this->answer_with(new TransferException('dead'), $this->completion());
        $this->assertTrue($this->process()->get_success());
        $this->assertSame(8082, $this->requests[1]->getUri()->getPort());
    }

    /**
     * The session is released in requests of placements' calls only.
     *
     * @covers \aiprovider_sidecar\local\session_lock
     */
    public function test_session_lock(): void {
        $placement = '{"methodname": "aiplacement_courseassist_summarise_text"}';
        $this->assertTrue(local\session_lock::is_safe('/lib/ajax/service.php', "[{$placement}]"));
        $other = '{"methodname": "core_user_set_user_preferences"}';
        $this->assertFalse(local\session_lock::is_safe('/lib/ajax/service.php', "[{$placement}, {$other}]"));
        $this->assertFalse(local\session_lock::is_safe('/local/x/ajax.php', "[{$placement}]"));
        $this->assertFalse(local\session_lock::release_if_safe());
    }
}
