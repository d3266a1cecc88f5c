<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** The outcome of a request: an answer, or a failure with a code and a sentence. */
final class Reply
{
    /**
     * @param string $data the model's text, as it came: escape it, or pass it through format_text()
     * @param string $error one sentence that may be shown to the user; blank on success
     * @param string $code the failure's code as it was sent; blank on success
     * @param Via|null $via the transport of the reply; null without a reply
     * @param string|null $jobId the job that goes on if a long summary was not ready in time: repeat the request, or collect it
     * @param int|null $retryAfter seconds after which a retry makes sense, if the sidecar sent them
     * @param string $detail for the log, never for the user's screen
     */
    private function __construct(
        public readonly bool $success,
        public readonly string $data = '',
        public readonly string $error = '',
        public readonly ?Failure $failure = null,
        public readonly string $code = '',
        public readonly ?Via $via = null,
        public readonly ?string $jobId = null,
        public readonly ?int $retryAfter = null,
        public readonly string $detail = '',
    ) {
    }

    /** Builds a failure that PHP itself detected. */
    public static function failed(Failure $failure, string $detail = '', ?Via $via = null): self
    {
        return new self(false, '', $failure->sentence(), $failure, $failure->value, $via, detail: $detail);
    }

    /**
     * Builds the reply that the sidecar sent.
     *
     * @param array<mixed> $said decoded by {@see Reply::decoded()}
     */
    public static function heard(array $said, Via $via, ?int $retryAfter = null, string $detail = ''): self
    {
        if ($said['success'] === true && is_string($said['data'] ?? null)) {
            return new self(true, $said['data'], via: $via);
        }
        $code = is_string($said['code'] ?? null) ? $said['code'] : Failure::Other->value;
        $failure = $said['success'] === true ? Failure::BadReply : Failure::of($code);
        return new self(
            false,
            '',
            is_string($said['error'] ?? null) ? $said['error'] : $failure->sentence(),
            $failure,
            $failure === Failure::BadReply ? $failure->value : $code,
            $via,
            is_string($said['job_id'] ?? null) ? $said['job_id'] : null,
            $retryAfter,
            $detail,
        );
    }

    /**
     * Decodes the sidecar's reply; null if the text is none.
     *
     * @return array<mixed>|null
     */
    public static function decoded(string $text): ?array
    {
        $said = json_decode($text, true, 32);
        return is_array($said) && is_bool($said['success'] ?? null) ? $said : null;
    }
}
