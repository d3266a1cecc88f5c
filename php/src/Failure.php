<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** Why there is no answer. The values are the sidecar's codes; those that begin with `sidecar_` are said here, in PHP. */
enum Failure: string
{
    case InvalidJson = 'invalid_json';
    case InvalidRequest = 'invalid_request';
    case UnsupportedMediaType = 'unsupported_media_type';
    case TooLarge = 'too_large';
    case Unauthorized = 'unauthorized';
    case UnknownAction = 'unknown_action';
    case Overloaded = 'overloaded';
    case Timeout = 'timeout';
    case RateLimited = 'rate_limited';
    case UpstreamAuth = 'upstream_auth';
    case UpstreamError = 'upstream_error';
    case UpstreamUnreachable = 'upstream_unreachable';
    case EmptyResponse = 'empty_response';
    case ShuttingDown = 'shutting_down';
    case Internal = 'internal';
    case NotFound = 'not_found';
    case JobsUnavailable = 'jobs_unavailable';

    /** Nothing answered: no HTTP, and no process could be started. The request was not sent. */
    case NotReached = 'sidecar_not_reached';
    /** It was reached, but did not answer in time or broke off. It may have worked, and may have been paid for. */
    case NoReply = 'sidecar_no_reply';
    /** What answered is not the sidecar, or stands before it. */
    case BadReply = 'sidecar_bad_reply';
    /** The process ended without a reply, as it does for settings that make no sense. */
    case ProcessFailed = 'sidecar_process_failed';
    /** A code that this version does not know; the reply's `code` has it. */
    case Other = 'other';

    public static function of(string $code): self
    {
        return self::tryFrom($code) ?? self::Other;
    }

    /** Whether the same request may succeed a little later, with nothing changed by anybody. */
    public function passing(): bool
    {
        return match ($this) {
            self::Overloaded, self::Timeout, self::RateLimited, self::UpstreamError, self::UpstreamUnreachable,
            self::EmptyResponse, self::ShuttingDown, self::Internal, self::JobsUnavailable, self::NotReached,
            self::NoReply, self::BadReply => true,
            default => false,
        };
    }

    /** What a person may read where the sidecar itself said nothing. */
    public function sentence(): string
    {
        return match ($this) {
            self::NotReached => 'The AI service cannot be reached. Please try again in a moment.',
            self::NoReply => 'The AI service did not answer in time. Please try again.',
            self::BadReply, self::ProcessFailed => 'The AI service does not work; the administrator finds more in the log.',
            default => 'The AI service could not answer.',
        };
    }
}
