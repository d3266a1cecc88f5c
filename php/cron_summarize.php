<?php

/**
 * Summaries overnight: enqueues texts now, collects their summaries later. From cron or a shell.
 *
 *   php cron_summarize.php enqueue texts.jsonl > jobs.jsonl
 *   php cron_summarize.php collect jobs.jsonl --wait=3600 > summaries.jsonl
 *
 * texts.jsonl has one JSON object a line: "content", and optionally "action" (summarize), "context", "user_id" and "ref",
 * a mark of your own that comes back with the summary. `-` or no file is standard input. jobs.jsonl has
 * {"ref", "job_id", "status"} a line, summaries.jsonl the same with "data" or "error" and "code", in the same order.
 * Running `enqueue` twice is free: the same text is the same job. `collect` waits --wait seconds (0: one look).
 *
 * OPENAI_SIDECAR_HTTP_URL and OPENAI_SIDECAR_TOKEN have the sidecar's address and token.
 * Exit code: 0, or 1 if a job failed, is unknown or not ready, or the sidecar refused (stderr says why), or 2 for wrong usage.
 */

declare(strict_types=1);

use MoodleSidecar\Communicator;
use MoodleSidecar\Jobs;
use MoodleSidecar\JobStatus;

require_once __DIR__ . '/sidecar.php';

if (PHP_SAPI !== 'cli') {
    exit(2);
}
// PHP's own messages go to stderr: stdout holds the resulting lines only.
ini_set('display_errors', 'stderr');
exit(main(array_slice($argv, 1)));

/** @param list<string> $words */
function main(array $words): int
{
    $wait = 0.0;
    $files = [];
    $verb = array_shift($words);
    foreach ($words as $word) {
        if (preg_match('/^--wait=(\d+(?:\.\d+)?)$/', $word, $found)) {
            $wait = (float) $found[1];
        } elseif (str_starts_with($word, '--')) {
            return wrong("{$word} is not known");
        } else {
            $files[] = $word;
        }
    }
    if (!in_array($verb, ['enqueue', 'collect'], true) || count($files) > 1) {
        return wrong('enqueue FILE, or collect FILE --wait=SECONDS');
    }
    $file = $files[0] ?? '-';
    $lines = @fopen($file === '-' ? 'php://stdin' : $file, 'rb');
    if ($lines === false || is_dir($file)) { // fopen() succeeds for folders too
        return wrong("{$file} cannot be read");
    }
    $key = $verb === 'enqueue' ? 'content' : 'job_id';
    $entries = [];
    for ($number = 1; ($line = fgets($lines)) !== false; $number++) {
        $entry = json_decode($line, true);
        if (trim($line) === '') {
            continue;
        }
        if (!is_array($entry) || !is_string($entry[$key] ?? null)) {
            return wrong("{$file}, line {$number}: not a JSON object with \"{$key}\"");
        }
        $entries[] = $entry;
    }
    $sidecar = Communicator::fromEnvironment();
    return $verb === 'enqueue' ? enqueue($sidecar, $entries) : collect($sidecar, $entries, $wait);
}

/** @param list<array<string, mixed>> $entries */
function enqueue(Communicator $sidecar, array $entries): int
{
    $fields = array_flip(['action', 'content', 'context', 'user_id']);
    $jobs = $sidecar->enqueue(array_map(static fn (array $entry): array => array_intersect_key($entry, $fields), $entries));
    foreach ($jobs as $number => $job) {
        say(named($entries[$number]) + ['job_id' => $job->id, 'status' => $job->status->value]);
    }
    return report($jobs, count($entries) - count($jobs), 'not enqueued') ? 0 : 1;
}

/** @param list<array<string, mixed>> $entries */
function collect(Communicator $sidecar, array $entries, float $wait): int
{
    $jobs = $sidecar->collect(array_column($entries, 'job_id'), $wait);
    $known = [];
    foreach ($jobs as $job) {
        $known[$job->id] = $job;
    }
    $missing = 0;
    foreach ($entries as $entry) {
        $job = $known[$entry['job_id']] ?? null;
        $complete = $job?->status === JobStatus::Complete;
        $missing += $complete ? 0 : 1;
        $result = $complete ? ['data' => $job->data] : array_filter(['error' => $job?->error, 'code' => $job?->code]);
        say(named($entry) + ['job_id' => $entry['job_id'], 'status' => ($job?->status ?? JobStatus::Unknown)->value] + $result);
    }
    return report($jobs, $missing, 'without a summary') ? 0 : 1;
}

/**
 * @param array<string, mixed> $entry
 * @return array<string, mixed>
 */
function named(array $entry): array
{
    return array_key_exists('ref', $entry) ? ['ref' => $entry['ref']] : [];
}

/** @param array<string, mixed> $entry */
function say(array $entry): void
{
    echo json_encode($entry, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
}

/** Writes failures to stderr; returns whether there were none. */
function report(Jobs $jobs, int $missing, string $what): bool
{
    if ($jobs->failure !== null) {
        fwrite(STDERR, rtrim("{$jobs->code}: {$jobs->error} {$jobs->detail}") . "\n");
    }
    if ($missing > 0) {
        fwrite(STDERR, "{$missing} {$what}\n");
    }
    return $jobs->failure === null && $missing === 0;
}

function wrong(string $why): int
{
    fwrite(STDERR, "cron_summarize.php: {$why}\n");
    return 2;
}
