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

use aiprovider_sidecar\local\answer;
use aiprovider_sidecar\local\client;
use aiprovider_sidecar\local\session_lock;
use core_ai\process_base;

/**
 * One action by the sidecar's OpenAI-compatible API.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class abstract_processor extends process_base {
    /**
     * Return the answer of the sidecar. Every exception becomes a failure, so that Moodle asks its next provider.
     *
     * @return array
     */
    #[\Override]
    protected function query_ai_api(): array {
        try {
            return $this->complete();
        } catch (\Throwable $e) {
            $this->tell_developers($e);
            return answer::failure('internal');
        }
    }

    /**
     * Show where an exception was thrown, without its message, which may quote the text.
     *
     * @param \Throwable $e
     */
    private function tell_developers(\Throwable $e): void {
        debugging('aiprovider_sidecar: ' . get_class($e) . " at {$e->getFile()}:{$e->getLine()}", DEBUG_DEVELOPER);
    }

    /**
     * Send the action as a chat completion, and return the answer.
     *
     * @return array
     */
    private function complete(): array {
        try {
            $stored = $this->stored_answer();
        } catch (\Throwable $e) {
            $this->tell_developers($e);
            $stored = null; // A fault of the store costs a call, and no answer.
        }
        if ($stored !== null) {
            return $stored;
        }
        $settings = $this->provider->get_sidecar_settings();
        $body = $this->get_request_body();
        if ($settings->releasesession) {
            session_lock::release_if_safe();
        }
        $query = ['action' => $this->action::get_basename()];
        $reply = \core\di::get(client::class)->post($settings, '/v1/chat/completions', $query, $body);
        return answer::of_completion($reply);
    }

    /**
     * Return an answer that needs no call, or null.
     *
     * @return array|null
     */
    protected function stored_answer(): ?array {
        return null;
    }

    /**
     * Return the request. The sidecar chooses the model.
     *
     * @return array
     */
    private function get_request_body(): array {
        $messages = [];
        $instruction = $this->action::get_system_instruction();
        if ($instruction !== '') {
            $messages[] = ['role' => 'system', 'content' => $instruction];
        }
        $messages[] = ['role' => 'user', 'content' => $this->action->get_configuration('prompttext')];
        return [
            'messages' => $messages,
            'user' => $this->provider->generate_userid((string) $this->action->get_configuration('userid')),
        ];
    }
}
