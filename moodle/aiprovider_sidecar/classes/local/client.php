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

use core\http_client;
use GuzzleHttp\Exception\ConnectException;
use GuzzleHttp\Exception\GuzzleException;

/**
 * HTTP requests to the sidecar, over Moodle's own client.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class client {
    /** @var int Seconds to connect. */
    private const CONNECT_TIMEOUT = 5;

    /** @var int Seconds beyond the sidecar's deadline: the sidecar knows the cause, so it answers first. */
    public const MARGIN = 5.0;

    /** @var int The largest reply that is read, in bytes. */
    private const MAX_REPLY = 16 * 1024 * 1024;

    /** @var int The error number of curl for a time limit that passed. */
    private const CURL_TIMED_OUT = 28;

    /**
     * Constructor.
     *
     * @param array $options Options for Moodle's HTTP client beside those set here; tests put a handler there.
     * @param float $margin Seconds to wait beyond the sidecar's deadline.
     */
    public function __construct(
        /** @var array Options for Moodle's HTTP client. */
        private readonly array $options = [],
        /** @var float Seconds to wait beyond the sidecar's deadline. */
        private readonly float $margin = self::MARGIN,
    ) {
    }

    /**
     * Post a JSON object, and return the reply.
     *
     * @param settings $settings How to reach the sidecar.
     * @param string $path Of the route, as /v1/chat/completions.
     * @param array $query Of the address. The deadline is added.
     * @param array $body The JSON object.
     * @return reply
     */
    public function post(settings $settings, string $path, array $query, array $body): reply {
        $json = json_encode($body, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE);
        return $this->send($settings, 'POST', $path, $query + ['deadline' => $settings->deadline], [
            'body' => $json,
            'headers' => ['Content-Type' => 'application/json'],
            'timeout' => $settings->deadline + $this->margin,
            'connect_timeout' => self::CONNECT_TIMEOUT,
        ]);
    }

    /**
     * Get a page that needs no work behind it, and return the reply.
     *
     * @param settings $settings How to reach the sidecar.
     * @param string $path Of the route.
     * @param float $seconds In all, connecting included.
     * @return reply
     */
    public function get(settings $settings, string $path, float $seconds): reply {
        return $this->send($settings, 'GET', $path, [], ['timeout' => $seconds, 'connect_timeout' => $seconds]);
    }

    /**
     * Send a request, and return the reply.
     *
     * @param settings $settings How to reach the sidecar.
     * @param string $method Of HTTP.
     * @param string $path Of the route.
     * @param array $query Of the address.
     * @param array $options Of the request.
     * @return reply
     */
    private function send(settings $settings, string $method, string $path, array $query, array $options): reply {
        $requestid = bin2hex(random_bytes(8));
        $url = $settings->base . $path;
        $options['headers'] = ($options['headers'] ?? []) + ['Accept' => 'application/json', 'X-Request-ID' => $requestid];
        if ($settings->token !== '') {
            $options['headers']['Authorization'] = "Bearer {$settings->token}";
        }
        // Past a web proxy, which would read the texts and the token. A redirect would take both elsewhere.
        $options += ['proxy' => '', 'allow_redirects' => false, 'http_errors' => false, 'expect' => false];
        try {
            $http = new http_client($this->options + ['securityhelper' => new security_helper($url)]);
            $response = $http->request($method, $url . ($query ? '?' . http_build_query($query, '', '&') : ''), $options);
            $body = $response->getBody();
            $json = ($body->getSize() ?? 0) > self::MAX_REPLY ? '' : (string) $body;
        } catch (GuzzleException $e) {
            return new reply(0, [], $requestid, self::fault_of($e));
        }
        $data = json_decode($json, true);
        return new reply($response->getStatusCode(), is_array($data) ? $data : [], $requestid);
    }

    /**
     * Return why there is no response. A connection that was made and then broke counts as one without an answer.
     *
     * @param GuzzleException $e What Moodle's client threw.
     * @return string
     */
    private static function fault_of(GuzzleException $e): string {
        if (!$e instanceof ConnectException) {
            return 'no_answer';
        }
        $context = $e->getHandlerContext();
        $late = ($context['errno'] ?? 0) === self::CURL_TIMED_OUT && ($context['connect_time'] ?? 0) > 0;
        return $late ? 'no_answer' : 'unreachable';
    }
}
