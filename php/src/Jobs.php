<?php

declare(strict_types=1);

namespace MoodleSidecar;

/**
 * The outcome of a list of jobs: those that the sidecar reported, in the order of the request, and the failure if some are missing.
 *
 * @implements \IteratorAggregate<int, Job>
 */
final class Jobs implements \Countable, \IteratorAggregate
{
    /** @param list<Job> $jobs */
    public function __construct(
        public readonly array $jobs,
        public readonly ?Failure $failure = null,
        public readonly string $error = '',
        public readonly string $code = '',
        public readonly string $detail = '',
    ) {
    }

    /** @param list<Job> $jobs the jobs reported before the failure */
    public static function stopped(array $jobs, Reply $reply): self
    {
        return new self($jobs, $reply->failure, $reply->error, $reply->code, $reply->detail);
    }

    /** Returns whether there was no failure and every job has ended, with or without success. */
    public function ended(): bool
    {
        return $this->failure === null && $this->open() === [];
    }

    /** @return list<string> the ids of jobs that have not ended */
    public function open(): array
    {
        $open = array_filter($this->jobs, static fn (Job $job): bool => !$job->status->ended());
        return array_values(array_map(static fn (Job $job): string => $job->id, $open));
    }

    /** @return list<string> every id */
    public function ids(): array
    {
        return array_map(static fn (Job $job): string => $job->id, $this->jobs);
    }

    public function count(): int
    {
        return count($this->jobs);
    }

    /** @return \ArrayIterator<int, Job> */
    public function getIterator(): \ArrayIterator
    {
        return new \ArrayIterator($this->jobs);
    }
}
