<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** The outcome of one HTTP request. */
final class Exchange
{
    /**
     * @param bool $reached whether a connection came about; false: not a byte of the request left this process
     * @param int $status the response's, 0 without one
     */
    public function __construct(
        public readonly bool $reached,
        public readonly int $status = 0,
        public readonly string $body = '',
        public readonly ?int $retryAfter = null,
        public readonly string $detail = '',
    ) {
    }

    /** Returns the sidecar's reply, whatever the status, or a failure if the body is none. */
    public function reply(): Reply
    {
        if (!$this->reached) {
            return Reply::failed(Failure::NotReached, $this->detail);
        }
        if ($this->status === 0) {
            return Reply::failed(Failure::NoReply, $this->detail);
        }
        $said = Reply::decoded($this->body);
        if ($said === null) {
            return Reply::failed(Failure::BadReply, "status {$this->status}, and not the sidecar's JSON", Via::Http);
        }
        return Reply::heard($said, Via::Http, $this->retryAfter, $this->detail);
    }
}
