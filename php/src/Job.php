<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** One job as the sidecar last reported it. */
final class Job
{
    /**
     * @param string $data the result, once complete; as with a reply, escape it
     * @param string $error why the job failed, for the user
     * @param int|null $partsDone number of parts of a long text that are summarized, of $partsTotal
     */
    public function __construct(
        public readonly string $id,
        public readonly JobStatus $status,
        public readonly string $data = '',
        public readonly string $error = '',
        public readonly string $code = '',
        public readonly ?int $partsDone = null,
        public readonly ?int $partsTotal = null,
    ) {
    }

    /**
     * Returns the job in an entry of a reply; null if the entry has none.
     *
     * @param mixed $entry
     */
    public static function heard(mixed $entry): ?self
    {
        $id = is_array($entry) ? ($entry['job_id'] ?? null) : null;
        if (!is_string($id) || $id === '') {
            return null;
        }
        $text = static fn (string $name): string => is_string($entry[$name] ?? null) ? $entry[$name] : '';
        $number = static fn (string $name): ?int => is_int($entry[$name] ?? null) ? $entry[$name] : null;
        return new self(
            $id,
            JobStatus::tryFrom($text('status')) ?? JobStatus::Unknown,
            $text('data'),
            $text('error'),
            $text('code'),
            $number('parts_done'),
            $number('parts_total'),
        );
    }
}
