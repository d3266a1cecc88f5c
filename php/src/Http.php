<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** Posts JSON with curl, each time on a new connection: curl would send a request again if a reused one broke. */
final class Http
{
    private const LARGEST_REPLY = 64 * 1024 * 1024; // the results of many jobs may come at once

    public function __construct(
        private readonly float $connectTimeout,
        #[\SensitiveParameter] private readonly string $token,
    ) {
    }

    /** @param float $seconds in all, connecting included */
    public function post(string $url, string $body, float $seconds): Exchange
    {
        if (!function_exists('curl_init')) {
            return new Exchange(false, detail: "PHP's curl extension is not installed");
        }
        $curl = curl_init();
        $said = '';
        $headers = ['content-type' => '', 'retry-after' => ''];
        $sent = ['Content-Type: application/json', 'Accept: application/json', 'Expect:'];
        if ($this->token !== '') {
            $sent[] = "Authorization: Bearer {$this->token}";
        }
        curl_setopt_array($curl, [
            CURLOPT_URL => $url,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_NOPROXY => '*', // the sidecar is near; a proxy would read the texts
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => $sent,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_NOSIGNAL => true, // without it, curl ignores times under a second
            CURLOPT_CONNECTTIMEOUT_MS => self::milliseconds(min($this->connectTimeout, $seconds)),
            CURLOPT_TIMEOUT_MS => self::milliseconds($seconds),
            CURLOPT_HEADERFUNCTION => static function ($curl, string $line) use (&$headers): int {
                [$name, $value] = explode(':', $line, 2) + [1 => ''];
                $headers[strtolower(trim($name))] = trim($value);
                return strlen($line);
            },
            CURLOPT_WRITEFUNCTION => static function ($curl, string $piece) use (&$said): int {
                $said .= $piece;
                return strlen($said) > self::LARGEST_REPLY ? 0 : strlen($piece);
            },
        ]);
        $done = curl_exec($curl);
        $status = (int) curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if ($done === false) {
            return new Exchange(self::reached($curl), detail: curl_error($curl));
        }
        $wait = ctype_digit($headers['retry-after']) ? (int) $headers['retry-after'] : null;
        return new Exchange(true, $status, $said, $wait);
    }

    /** Returns whether curl made a connection. Only without one is it certain that the request was not sent. */
    private static function reached(\CurlHandle $curl): bool
    {
        return match (curl_errno($curl)) {
            CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT => false,
            // A timeout can come before or after connecting; the scheme can be wrong, or an answer (as HTTP/0.9 to curl).
            CURLE_OPERATION_TIMEDOUT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT
                => curl_getinfo($curl, CURLINFO_CONNECT_TIME_T) > 0,
            default => true,
        };
    }

    private static function milliseconds(float $seconds): int
    {
        return max(1, (int) round($seconds * 1000));
    }
}
