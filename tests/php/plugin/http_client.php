<?php

// Stand-in for Moodle's HTTP client, which is Guzzle with a check of each address, over curl. An option that it does not
// know is an error.

declare(strict_types=1);

namespace core;

use GuzzleHttp\Exception\ConnectException;
use GuzzleHttp\Exception\RequestException;

class http_client
{
    private const CONNECTING = [CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_OPERATION_TIMEDOUT, CURLE_GOT_NOTHING];

    public function __construct(private readonly array $config)
    {
    }

    public function request(string $method, string $url, array $options): object
    {
        if ($this->config['securityhelper']->url_is_blocked($url)) {
            throw new RequestException('The URL is blocked.');
        }
        $curl = curl_init($url);
        curl_setopt_array($curl, [CURLOPT_CUSTOMREQUEST => $method, CURLOPT_RETURNTRANSFER => true, CURLOPT_NOSIGNAL => true]);
        foreach ($options as $name => $value) {
            match ($name) {
                'body' => curl_setopt($curl, CURLOPT_POSTFIELDS, $value),
                'headers' => curl_setopt($curl, CURLOPT_HTTPHEADER, [
                    'Expect:', ...array_map(static fn ($key, $one) => "{$key}: {$one}", array_keys($value), $value),
                ]),
                'timeout' => curl_setopt($curl, CURLOPT_TIMEOUT_MS, (int) ($value * 1000)),
                'connect_timeout' => curl_setopt($curl, CURLOPT_CONNECTTIMEOUT_MS, (int) ($value * 1000)),
                'proxy' => curl_setopt($curl, CURLOPT_PROXY, $value),
                'allow_redirects' => curl_setopt($curl, CURLOPT_FOLLOWLOCATION, $value),
                'http_errors', 'expect' => $value === false || throw new \Exception("{$name} is on"),
            };
        }
        $body = curl_exec($curl);
        if ($body === false) {
            $errno = curl_errno($curl);
            throw in_array($errno, self::CONNECTING, true)
                ? new ConnectException(curl_error($curl), ['errno' => $errno] + curl_getinfo($curl))
                : new RequestException(curl_error($curl));
        }
        return new response(curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $body);
    }
}

final class response
{
    public function __construct(private readonly int $status, private readonly string $body)
    {
    }

    public function getStatusCode(): int
    {
        return $this->status;
    }

    public function getBody(): static
    {
        return $this;
    }

    public function getSize(): int
    {
        return strlen($this->body);
    }

    public function __toString(): string
    {
        return $this->body;
    }
}
