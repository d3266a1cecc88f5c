<?php

declare(strict_types=1);

namespace MoodleSidecar;

/**
 * Asks the sidecar: over HTTP, or by a process of its own where nothing answers there.
 *
 * A request that fails is a typed failure, never an exception. The process is started only where no connection came
 * about (refused, no such host, connect timeout). After a reply, whatever it says, and after a request that ran out of
 * time, it is not: else a burst would become as many processes, and one click two bills.
 */
final class Communicator
{
    public const URL = 'http://127.0.0.1:8081/ai';
    public const COMMAND = ['/bitnami/moodle/openai-sidecar/openai-moodle-sidecar', '--stdio'];
    /** The most requests that POST /jobs takes at once, and a size well below what it takes. */
    private const MOST_AT_ONCE = 1000;
    private const BYTES_AT_ONCE = 16 * 1024 * 1024;
    private const LEAST_FOR_PROCESS = 1.0;
    private const JSON = JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES;
    /** What a process is told, where this one was told it. HTTP_MODE is not: a request's header can set it under CGI. */
    private const PASSED_ON = [
        'PATH', 'LANG', 'OPENAI_API_KEY', 'OPENAI_API_KEY_FILE', 'OPENAI_BASE_URL', 'OPENAI_MODEL', 'MAX_TOKENS',
        'SUMMARIZE_THRESHOLD', 'CONTEXT_TOKENS', 'EXTRA_BODY', 'SEND_USER', 'USER_SECRET', 'USER_SECRET_FILE',
        'HTML_SAFE', 'STDIO_MAX_PROCESSES', 'https_proxy', 'HTTPS_PROXY', 'http_proxy', 'all_proxy', 'ALL_PROXY',
        'no_proxy', 'NO_PROXY', 'SSL_CERT_FILE',
    ];

    /**
     * @param string $url the sidecar's /ai; /jobs is looked for beside it
     * @param float $timeout seconds that a request takes at most, the fallback included; enqueue() and status() make one
     *        for each thousand, collect() one for each look
     * @param float $connectTimeout seconds of these for connecting
     * @param string $token the sidecar's SIDECAR_TOKEN, where it asks for one
     * @param list<string>|null $command the fallback and its arguments; null for none
     * @param array<string, string> $environment the fallback's settings, such as OPENAI_API_KEY, over what is passed on
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
     * As the variables say: OPENAI_SIDECAR_HTTP_URL, OPENAI_SIDECAR_HTTP_TIMEOUT, OPENAI_SIDECAR_CONNECT_TIMEOUT,
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

    /** An answer to what the user asks; $context is the text that it is about. */
    public function chat(string $content, string $context = '', int|string|null $userId = null): Reply
    {
        return $this->ask(['action' => 'chat', 'content' => $content, 'context' => $context, 'user_id' => $userId]);
    }

    /** A summary of the text. */
    public function summarize(string $content, int|string|null $userId = null): Reply
    {
        return $this->ask(['action' => 'summarize', 'content' => $content, 'user_id' => $userId]);
    }

    /** What the text teaches, how difficult it is, and how it could be better. */
    public function analyze(string $content, int|string|null $userId = null): Reply
    {
        return $this->ask(['action' => 'analyze', 'content' => $content, 'user_id' => $userId]);
    }

    /**
     * Leaves requests to be worked on later.
     *
     * A thousand go at once, and of these all or none are taken; where a later thousand fails, the jobs of those before
     * are in the result beside the failure. Enqueuing the same again is free: it gives the same jobs.
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
     * How the jobs are doing, with the results of those that are complete.
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
                $told = array_filter($ids, static fn (string $id): bool => isset($known[$id]));
                return Jobs::stopped(array_map(static fn (string $id): Job => $known[$id], array_values($told)), $reply);
            }
        }
        return new Jobs(array_map(
            static fn (string $id): Job => $known[$id] ?? new Job($id, JobStatus::Unknown),
            array_values($ids),
        ));
    }

    /**
     * Waits until every job has ended; after $seconds no look begins. Failures that pass are waited out.
     *
     * @param list<string> $ids
     * @param float $pause seconds between two looks
     */
    public function collect(array $ids, float $seconds, float $pause = 2.0): Jobs
    {
        $until = self::now() + $seconds;
        $ended = [];
        do {
            $asked = array_values(array_filter($ids, static fn (string $id): bool => !isset($ended[$id])));
            $seen = $this->status($asked);
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
        $told = array_values(array_filter($ids, static fn (string $id): bool => isset($known[$id])));
        $jobs = array_map(static fn (string $id): Job => $known[$id], $told);
        return new Jobs($jobs, $seen->failure, $seen->error, $seen->code, $seen->detail);
    }

    /** @return array<string, mixed> what may be shown: neither the token nor the environment */
    public function __debugInfo(): array
    {
        return ['timeout' => $this->timeout, 'connectTimeout' => $this->connectTimeout, 'command' => $this->command];
    }

    /** @param array<string, mixed> $request */
    private function ask(array $request): Reply
    {
        $started = self::now();
        $line = json_encode($request, self::JSON);
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
        // It is to answer before it is killed: what it has paid for by then would be lost.
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
