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
 * Answers in the form that Moodle's AI subsystem takes from a provider, of success and of failure.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class answer {
    /** @var string[] Codes of the sidecar, and of this plugin, that have a sentence: the strings error:CODE. */
    public const CODES = [
        'bad_answer', 'empty_response', 'internal', 'invalid_json', 'invalid_request', 'jobs_unavailable', 'limited',
        'no_answer', 'overloaded', 'rate_limited', 'shutting_down', 'timeout', 'too_large', 'unauthorized',
        'unknown_action', 'unreachable', 'unsupported_media_type', 'upstream_auth', 'upstream_error',
        'upstream_unreachable', 'wrong_address',
    ];

    /** @var int[] Statuses for failures without a response of the sidecar. */
    private const STATUSES = ['unreachable' => 503, 'no_answer' => 504, 'bad_answer' => 502, 'internal' => 500];

    /** @var string Codes that no request of ours gets from a sidecar whose address is right. */
    private const MISLED = '~^(not_found|method_not_allowed|wrong_host|http_version|bad_request|model_not_found)$~D';

    /** @var int The longest id, and the longest finish reason, that Moodle's tables take, in characters. */
    private const LONGEST_ID = 128;

    /** @var int The longest name of a model that Moodle's tables take, in characters. */
    private const LONGEST_MODEL = 50;

    /**
     * Return the answer that a reply of /v1/chat/completions carries.
     *
     * @param reply $reply
     * @return array As process_base::query_ai_api() returns it.
     */
    public static function of_completion(reply $reply): array {
        if ($reply->fault !== '') {
            return self::failure($reply->fault, 0, $reply->requestid);
        }
        if ($reply->status !== 200) {
            $code = $reply->data['error']['code'] ?? null;
            return self::failure(is_string($code) ? $code : 'bad_answer', $reply->status, $reply->requestid);
        }
        $content = $reply->data['choices'][0]['message']['content'] ?? null;
        if (!is_string($content)) {
            return self::failure('bad_answer', 502, $reply->requestid);
        }
        if (trim($content) === '') {
            return self::failure('empty_response', 502, $reply->requestid);
        }
        return self::success($content, $reply->data);
    }

    /**
     * Return the answer of a success. Values that Moodle could not store are cut or left out.
     *
     * @param string $content The generated text.
     * @param array $data The reply, in the shape of a chat completion.
     * @return array
     */
    public static function success(string $content, array $data = []): array {
        $reason = self::text($data['choices'][0]['finish_reason'] ?? null, self::LONGEST_ID) ?? 'stop';
        return [
            'success' => true,
            'id' => self::text($data['id'] ?? null, self::LONGEST_ID),
            'fingerprint' => self::text($data['system_fingerprint'] ?? null, self::LONGEST_ID),
            'generatedcontent' => str_replace("\0", '', $content),
            'finishreason' => preg_replace('~[^a-zA-Z_-]~', '', $reason),
            'prompttokens' => self::count($data['usage']['prompt_tokens'] ?? null),
            'completiontokens' => self::count($data['usage']['completion_tokens'] ?? null),
            'model' => self::text($data['model'] ?? null, self::LONGEST_MODEL),
        ];
    }

    /**
     * Return the answer of a failure: a sentence in the person's language, and the id to look for in the sidecar's log.
     *
     * @param string $code Of the sidecar or this plugin. An unknown one has the sentence of an internal fault.
     * @param int $status The HTTP status; 0 for the one that fits the code.
     * @param string $requestid Blank if there is none.
     * @return array
     */
    public static function failure(string $code, int $status = 0, string $requestid = ''): array {
        if (preg_match(self::MISLED, $code)) {
            $code = 'wrong_address';
        } else if (!in_array($code, self::CODES, true)) {
            $code = 'internal';
        }
        $sentence = get_string("error:{$code}", 'aiprovider_sidecar');
        if ($requestid !== '') {
            $sentence .= ' ' . get_string('requestid', 'aiprovider_sidecar', $requestid);
        }
        // Moodle's web service throws for a tag in either, and a site can change its strings.
        return [
            'success' => false,
            'errorcode' => $status ?: (self::STATUSES[$code] ?? 500),
            'error' => clean_param(get_string('errortitle', 'aiprovider_sidecar'), PARAM_TEXT),
            'errormessage' => clean_param($sentence, PARAM_TEXT),
        ];
    }

    /**
     * Return a text cut to a length, or null for what is no text.
     *
     * @param mixed $value
     * @param int $longest In characters.
     * @return string|null
     */
    private static function text(mixed $value, int $longest): ?string {
        return is_string($value) && $value !== '' ? mb_substr(str_replace("\0", '', $value), 0, $longest) : null;
    }

    /**
     * Return a number of tokens, or null for what is none.
     *
     * @param mixed $value
     * @return int|null
     */
    private static function count(mixed $value): ?int {
        return is_int($value) && $value >= 0 ? $value : null;
    }
}
