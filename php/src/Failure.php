<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** The kinds of failure. The values are the sidecar's codes; those that begin with `sidecar_` come from PHP itself. */
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
    /** A limit that the site set for a user, a token or itself. */
    case Limited = 'limited';
    case UpstreamAuth = 'upstream_auth';
    case UpstreamError = 'upstream_error';
    case UpstreamUnreachable = 'upstream_unreachable';
    case EmptyResponse = 'empty_response';
    case ShuttingDown = 'shutting_down';
    case Internal = 'internal';
    case NotFound = 'not_found';
    case JobsUnavailable = 'jobs_unavailable';

    /** No HTTP connection, and no process could be started. The request was not sent. */
    case NotReached = 'sidecar_not_reached';
    /** The sidecar was reached, but did not answer in time or broke off. The request may have been billed. */
    case NoReply = 'sidecar_no_reply';
    /** The reply is not the sidecar's; it may come from a proxy in front of it. */
    case BadReply = 'sidecar_bad_reply';
    /** The process ended without a reply, as it does for invalid settings. */
    case ProcessFailed = 'sidecar_process_failed';
    /** A code unknown to this version; the reply's `code` has it. */
    case Other = 'other';

    public static function of(string $code): self
    {
        return self::tryFrom($code) ?? self::Other;
    }

    /** Returns whether the same request may succeed a little later, with nothing changed. */
    public function passing(): bool
    {
        return match ($this) {
            self::Overloaded, self::Timeout, self::RateLimited, self::Limited, self::UpstreamError,
            self::UpstreamUnreachable, self::EmptyResponse, self::ShuttingDown, self::Internal, self::JobsUnavailable, self::NotReached,
            self::NoReply, self::BadReply => true,
            default => false,
        };
    }

    /** Returns a sentence for the user if the sidecar itself sent none. */
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
