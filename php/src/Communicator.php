<?php

declare(strict_types=1);

namespace MoodleSidecar;

/**
 * Sends requests to the sidecar over HTTP, or runs it as a one-shot process if no connection can be made.
 *
 * A request that fails is a typed failure, never an exception. The process is started only if there was no connection
 * (refused, no such host, connect timeout). After any reply or a timeout it stays unused: otherwise a burst would become
 * as many processes, and one click would be billed twice.
 */
final class Communicator
{
    public const URL = 'http://127.0.0.1:8081/ai';
    public const COMMAND = ['/bitnami/moodle/openai-sidecar/openai-moodle-sidecar', '--stdio'];
    /** The most requests that POST /jobs accepts at once, and a size in bytes well below its limit. */
    private const MOST_AT_ONCE = 1000;
    private const BYTES_AT_ONCE = 16 * 1024 * 1024;
    private const LEAST_FOR_PROCESS = 1.0;
    private const JSON = JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES;
    /** Variables passed on to the process, if set. HTTP_MODE is left out: under CGI a request's header can set it. */
    private const PASSED_ON = [
        'PATH', 'LANG', 'OPENAI_API_KEY', 'OPENAI_API_KEY_FILE', 'OPENAI_BASE_URL', 'OPENAI_MODEL', 'MAX_TOKENS',
        'SUMMARIZE_THRESHOLD', 'CONTEXT_TOKENS', 'EXTRA_BODY', 'SEND_USER', 'USER_SECRET', 'USER_SECRET_FILE',
        'HTML_SAFE', 'STDIO_MAX_PROCESSES', 'https_proxy', 'HTTPS_PROXY', 'http_proxy', 'all_proxy', 'ALL_PROXY',
        'no_proxy', 'NO_PROXY', 'SSL_CERT_FILE',
    ];

    /**
     * @param string $url the sidecar's /ai; /jobs is next to it
     * @param float $timeout seconds that a request takes at most, the fallback included; enqueue() and status() make one
     *        request for each thousand, collect() one for each look
     * @param float $connectTimeout seconds of these for connecting
     * @param string $token the sidecar's SIDECAR_TOKEN, if it requires one
     * @param list<string>|null $command the fallback and its arguments; null for none
     * @param array<string, string> $environment the fallback's settings, such as OPENAI_API_KEY; they override variables passed on
     */
    public function __construct(
        private readonly string $url = self::URL,
        private readonly float $timeout = 30.0,
        private readonly float $connectTimeout = 5.0,
        #[\SensitiveParameter] private readonly string $token = '',
        private readonly ?array $command = self::COMMAND,
        #[\SensitiveParameter] private readonly array $environment = [],
    ) {
    }

    /**
     * Configured by the variables OPENAI_SIDECAR_HTTP_URL, OPENAI_SIDECAR_HTTP_TIMEOUT, OPENAI_SIDECAR_CONNECT_TIMEOUT,
     * OPENAI_SIDECAR_TOKEN, and OPENAI_SIDECAR_COMMAND (a path, or `none` for no fallback). Blank means unset.
     *
     * @param array<string, string> $environment as with the constructor
     */
    public static function fromEnvironment(#[\SensitiveParameter] array $environment = []): self
    {
        $text = static fn (string $name): string => trim((string) getenv("OPENAI_SIDECAR_{$name}"));
        $seconds = static fn (string $name, float $default): float
            => is_numeric($text($name)) && (float) $text($name) > 0 ? (float) $text($name) : $default;
        return new self(
            $text('HTTP_URL') ?: self::URL,
            $seconds('HTTP_TIMEOUT', 30.0),
            $seconds('CONNECT_TIMEOUT', 5.0),
            $text('TOKEN'),
            match ($text('COMMAND')) {
                '' => self::COMMAND,
                'none' => null,
                default => [$text('COMMAND'), '--stdio'],
            },
            $environment,
        );
    }

    /** Answers the user's question; $context is the text that it is about. */
    public function chat(string $content, string $context = '', int|string|null $userId = null): Reply
    {
        return $this->ask(['action' => 'chat', 'content' => $content, 'context' => $context, 'user_id' => $userId]);
    }

    /** Summarizes the text. */
    public function summarize(string $content, int|string|null $userId = null): Reply
    {
        return $this->ask(['action' => 'summarize', 'content' => $content, 'user_id' => $userId]);
    }

    /** Analyzes the text: what it teaches, its difficulty, and possible improvements. */
    public function analyze(string $content, int|string|null $userId = null): Reply
    {
        return $this->ask(['action' => 'analyze', 'content' => $content, 'user_id' => $userId]);
    }

    /**
     * Enqueues requests as jobs.
     *
     * A thousand go at once, and of these all or none are accepted; if a later thousand fails, the jobs of those before
     * are in the result together with the failure. Enqueuing the same again is free: it gives the same jobs.
     *
     * @param iterable<string|array{action?: string, content: string, context?: string|null, user_id?: int|string|null}> $requests
     *        a text is summarized
     */
    public function enqueue(iterable $requests): Jobs
    {
        $jobs = [];
        foreach ($this->bundles($requests) as $bundle) {
            $reply = $this->jobs('', '{"jobs":[' . implode(',', $bundle) . ']}', $heard);
            if ($reply !== null) {
                return Jobs::stopped($jobs, $reply);
            }
            if (count($heard) !== count($bundle)) {
                return Jobs::stopped($jobs, Reply::failed(Failure::BadReply, 'not one job for each request'));
            }
            array_push($jobs, ...$heard);
        }
        return new Jobs($jobs);
    }

    /**
     * Returns the state of the jobs, with the results of those that are complete.
     *
     * @param list<string> $ids
     */
    public function status(array $ids): Jobs
    {
        $known = [];
        foreach (array_chunk(array_values(array_unique($ids)), self::MOST_AT_ONCE) as $some) {
            $reply = $this->jobs('/status', (string) json_encode(['job_ids' => $some], self::JSON), $heard);
            foreach ($heard as $job) {
                $known[$job->id] = $job;
            }
            if ($reply !== null) {
                $found = array_filter($ids, static fn (string $id): bool => isset($known[$id]));
                return Jobs::stopped(array_map(static fn (string $id): Job => $known[$id], array_values($found)), $reply);
            }
        }
        return new Jobs(array_map(
            static fn (string $id): Job => $known[$id] ?? new Job($id, JobStatus::Unknown),
            array_values($ids),
        ));
    }

    /**
     * Waits until every job has ended; after $seconds no look begins. Temporary failures are retried.
     *
     * @param list<string> $ids
     * @param float $pause seconds between two looks
     */
    public function collect(array $ids, float $seconds, float $pause = 2.0): Jobs
    {
        $until = self::now() + $seconds;
        $ended = [];
        do {
            $pending = array_values(array_filter($ids, static fn (string $id): bool => !isset($ended[$id])));
            $seen = $this->status($pending);
            $open = [];
            foreach ($seen as $job) {
                $job->status->ended() ? $ended[$job->id] = $job : $open[$job->id] = $job;
            }
            $over = self::now() + $pause > $until || ($seen->failure !== null && !$seen->failure->passing());
            if ($seen->ended() || $over) {
                break;
            }
            usleep((int) ($pause * 1e6));
        } while (true);
        $known = $ended + $open;
        $found = array_values(array_filter($ids, static fn (string $id): bool => isset($known[$id])));
        $jobs = array_map(static fn (string $id): Job => $known[$id], $found);
        return new Jobs($jobs, $seen->failure, $seen->error, $seen->code, $seen->detail);
    }

    /** @return array<string, mixed> the properties without secrets: the token and the environment are left out */
    public function __debugInfo(): array
    {
        return ['timeout' => $this->timeout, 'connectTimeout' => $this->connectTimeout, 'command' => $this->command];
    }

    /** @param array<string, mixed> $request */
    private function ask(array $request): Reply
    {
        $started = self::now();
        $line = json_encode($request + ['format' => 'markdown'], self::JSON);
        if ($line === false) {
            return Reply::failed(Failure::InvalidRequest, json_last_error_msg());
        }
        $exchange = $this->http()->post($this->url, $line, $this->timeout);
        $left = $this->timeout - (self::now() - $started);
        if ($exchange->reached || $this->command === null || $left < self::LEAST_FOR_PROCESS) {
            return $exchange->reply();
        }
        $reply = (new Child($this->command, $this->environment($left)))->ask("{$line}\n", $left);
        return $reply->via === null ? Reply::failed(Failure::NotReached, "{$exchange->detail}; {$reply->detail}") : $reply;
    }

    /** @return array<string, string> */
    private function environment(float $left): array
    {
        $found = [];
        foreach (self::PASSED_ON as $name) {
            $value = getenv($name);
            if (is_string($value) && trim($value) !== '') {
                $found[$name] = $value;
            }
        }
        // The process must answer before it is killed: otherwise an answer already paid for would be lost.
        $own = ['REQUEST_TIMEOUT' => number_format(max($left - max(2.0, $left / 5), $left / 2), 3, '.', '')];
        return $own + $this->environment + $found;
    }

    /**
     * Posts to the jobs' routes.
     *
     * @param list<Job>|null $heard the jobs in the reply
     * @return Reply|null the failure, if it is one
     */
    private function jobs(string $path, string $body, ?array &$heard): ?Reply
    {
        $heard = [];
        $base = preg_replace('~(/ai)?/*(\?.*)?$~D', '', $this->url, 1);
        $exchange = $this->http()->post("{$base}/jobs{$path}", $body, $this->timeout);
        $said = Reply::decoded($exchange->body);
        if (!$exchange->reached || $exchange->status === 0 || $said === null || $said['success'] !== true) {
            return $exchange->reply();
        }
        if (!is_array($said['jobs'] ?? null)) {
            return Reply::failed(Failure::BadReply, 'a reply without jobs', Via::Http);
        }
        $heard = array_values(array_filter(array_map(Job::heard(...), array_values($said['jobs']))));
        return null;
    }

    /**
     * @param iterable<string|array<string, mixed>> $requests
     * @return \Generator<int, list<string>>
     */
    private function bundles(iterable $requests): \Generator
    {
        $bundle = [];
        $bytes = 0;
        foreach ($requests as $request) {
            $request = is_string($request) ? ['content' => $request] : $request;
            $line = (string) json_encode($request + ['action' => 'summarize'], self::JSON);
            if ($bundle !== [] && (count($bundle) === self::MOST_AT_ONCE || $bytes + strlen($line) > self::BYTES_AT_ONCE)) {
                yield $bundle;
                $bundle = [];
                $bytes = 0;
            }
            $bundle[] = $line;
            $bytes += strlen($line);
        }
        if ($bundle !== []) {
            yield $bundle;
        }
    }

    private function http(): Http
    {
        return new Http($this->connectTimeout, $this->token);
    }

    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }
}
