<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** The states of a job. */
enum JobStatus: string
{
    case Queued = 'queued';
    case InProgress = 'in_progress';
    case Complete = 'complete';
    case Failed = 'failed';
    case Cancelled = 'cancelled';
    /** The id is unknown to the sidecar: never enqueued, expired or deleted. Enqueue the text again. */
    case Unknown = 'unknown';

    /** Returns whether the status is final. */
    public function ended(): bool
    {
        return $this !== self::Queued && $this !== self::InProgress;
    }
}
