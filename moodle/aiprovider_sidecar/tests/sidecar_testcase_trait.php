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

use aiprovider_sidecar\local\client;
use GuzzleHttp\Handler\MockHandler;
use GuzzleHttp\Psr7\Response;
use Psr\Http\Message\RequestInterface;

/**
 * A provider whose sidecar is a list of responses, for tests.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
trait sidecar_testcase_trait {
    /** @var RequestInterface[] The requests that were sent. */
    protected array $requests = [];

    /** @var array[] The options that each was sent with. */
    protected array $options = [];

    /**
     * Let the sidecar answer with these responses, in turn. An exception is thrown in place of a response.
     *
     * @param mixed ...$responses
     */
    protected function answer_with(mixed ...$responses): void {
        $record = function (mixed $response): callable {
            return function (RequestInterface $request, array $options) use ($response) {
                $this->requests[] = $request;
                $this->options[] = $options;
                if ($response instanceof \Throwable) {
                    throw $response;
                }
                return $response;
            };
        };
        $client = new client(['mock' => new MockHandler(array_map($record, $responses))]);
        \core\di::set(client::class, $client);
    }

    /**
     * Return a response with a JSON body.
     *
     * @param array $body
     * @param int $status
     * @return Response
     */
    protected function json(array $body, int $status = 200): Response {
        return new Response($status, ['Content-Type' => 'application/json'], json_encode($body));
    }

    /**
     * Return a response that carries an answer.
     *
     * @param string $text
     * @return Response
     */
    protected function completion(string $text = 'An answer.'): Response {
        return $this->json([
            'id' => 'chatcmpl-1',
            'model' => 'model-1',
            'system_fingerprint' => 'fp-1',
            'choices' => [['message' => ['role' => 'assistant', 'content' => $text], 'finish_reason' => 'stop']],
            'usage' => ['prompt_tokens' => 11, 'completion_tokens' => 7, 'total_tokens' => 18],
        ]);
    }

    /**
     * Return whether this Moodle has providers as instances, as Moodle 5.0 and newer.
     *
     * @return bool
     */
    protected function has_instances(): bool {
        return method_exists(\core_ai\manager::class, 'create_provider_instance');
    }

    /**
     * Return a provider that is set up and enabled.
     *
     * @param array $config
     * @return provider
     */
    protected function create_provider(array $config = []): provider {
        $config += ['url' => 'http://127.0.0.1:8081', 'token' => 'token-1'];
        if ($this->has_instances()) {
            return \core\di::get(\core_ai\manager::class)->create_provider_instance(
                classname: provider::class,
                name: 'sidecar',
                enabled: true,
                config: $config,
            );
        }
        foreach ($config as $name => $value) {
            set_config($name, $value, 'aiprovider_sidecar');
        }
        \core\plugininfo\aiprovider::enable_plugin('sidecar', 1);
        return new provider();
    }
}
