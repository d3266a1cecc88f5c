<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** Where a job is. */
enum JobStatus: string
{
    case Queued = 'queued';
    case InProgress = 'in_progress';
    case Complete = 'complete';
    case Failed = 'failed';
    case Cancelled = 'cancelled';
    /** The sidecar does not know the id: never enqueued, expired or deleted. Enqueue the text again. */
    case Unknown = 'unknown';

    /** Whether asking again later could bring something else. */
    public function ended(): bool
    {
        return $this !== self::Queued && $this !== self::InProgress;
    }
}
