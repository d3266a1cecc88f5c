<?php

declare(strict_types=1);

namespace MoodleSidecar;

/**
 * What became of a list of jobs: those that the sidecar told of, in the order of the question, and why not all.
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

    /** @param list<Job> $jobs what was heard before the failure */
    public static function stopped(array $jobs, Reply $reply): self
    {
        return new self($jobs, $reply->failure, $reply->error, $reply->code, $reply->detail);
    }

    /** Whether nothing went wrong and every job has ended, well or not. */
    public function ended(): bool
    {
        return $this->failure === null && $this->open() === [];
    }

    /** @return list<string> the ids of those that have not ended */
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
