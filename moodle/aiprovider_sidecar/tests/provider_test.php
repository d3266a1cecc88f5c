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

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/sidecar_testcase_trait.php');

/**
 * Tests of the provider and its settings.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class provider_test extends \advanced_testcase {
    use sidecar_testcase_trait;

    #[\Override]
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
    }

    /**
     * The actions are those of this Moodle that are about text.
     *
     * @covers \aiprovider_sidecar\local\actions
     */
    public function test_get_action_list(): void {
        $expected = [\core_ai\aiactions\generate_text::class, \core_ai\aiactions\summarise_text::class];
        if (class_exists(\core_ai\aiactions\explain_text::class)) {
            $expected[] = \core_ai\aiactions\explain_text::class;
        }
        $this->assertSame($expected, $this->create_provider()->get_action_list());
    }

    /**
     * A provider without an address is not offered.
     *
     * @covers \aiprovider_sidecar\local\settings
     */
    public function test_is_provider_configured(): void {
        $this->assertTrue($this->create_provider()->is_provider_configured());
        $this->assertFalse($this->create_provider(['url' => ''])->is_provider_configured());
        $this->assertFalse($this->create_provider(['url' => 'ftp://127.0.0.1'])->is_provider_configured());
    }

    /**
     * The pseudonym is the one that core's providers send.
     *
     * @covers \aiprovider_sidecar\local\site_provider
     */
    public function test_generate_userid(): void {
        global $CFG;
        $expected = hash('sha256', $CFG->siteidentifier . '1');
        $this->assertSame($expected, $this->create_provider()->generate_userid('1'));
    }

    /**
     * Limits of requests in an hour hold in every version.
     *
     * @covers \aiprovider_sidecar\local\site_provider
     */
    public function test_is_request_allowed(): void {
        $provider = $this->create_provider(['enableuserratelimit' => 1, 'userratelimit' => 1]);
        $action = new \core_ai\aiactions\summarise_text(contextid: SYSCONTEXTID, userid: 2, prompttext: 'x');
        $this->assertTrue($provider->is_request_allowed($action));
        $refused = $provider->is_request_allowed($action);
        $this->assertFalse($refused['success']);
        $this->assertSame(429, $refused['errorcode']);
    }

    /**
     * The instance form has the fields, and says what is wrong with an address.
     *
     * @covers \aiprovider_sidecar\hook_listener
     */
    public function test_instance_form(): void {
        if (!$this->has_instances()) {
            $this->markTestSkipped('Moodle 4.5 has settings.php instead.');
        }
        $this->setAdminUser();
        $this->answer_with(
            $this->json(['object' => 'list', 'data' => [['id' => 'model-1']]]),
            $this->json(['ready' => true, 'checks' => ['server' => 'ok', 'provider' => 'ok']]),
        );
        $form = new \core_ai\form\ai_provider_form(customdata: ['providerconfigs' => ['aiprovider' => 'aiprovider_sidecar']]);
        $html = $form->render();
        foreach (['url', 'token', 'deadline', 'releasesession'] as $name) {
            $this->assertStringContainsString("name=\"{$name}\"", $html);
        }
        $this->assertStringContainsString('The sidecar is reached. Answers come from: model-1', $html);
        $this->assertCount(2, $this->requests);
        $this->assertTrue(hook_listener::validate(['url' => 'http://127.0.0.1:8081', 'deadline' => '25']));
        $this->assertSame(['url', 'deadline'], array_keys(hook_listener::validate(['url' => 'x', 'deadline' => '0'])));
    }
}
