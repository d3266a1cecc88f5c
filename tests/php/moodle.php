<?php

// A double of the OpenAI provider in Moodle core, for tests: how it asks, and what it makes of each answer, written from
// CONTRACT's "The OpenAI-compatible door". Its faults are kept, they are what the door must live with.
//
//   php moodle.php < {"key": "…", "requests": [{"url": "…", "body": "…"}]}

declare(strict_types=1);

// What is missing in a reply is a warning at first, and on Moodle's pages an error.
set_error_handler(static fn (int $level, string $message) => throw new ErrorException($message));

$asked = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
$came = [];
foreach ($asked['requests'] as $request) {
    try {
        $came[] = asked($request['url'], $request['body'], $asked['key']);
    } catch (Throwable $exc) {
        $came[] = ['broke' => get_class($exc) . ": {$exc->getMessage()}"];
    }
}
echo json_encode($came, JSON_THROW_ON_ERROR);

/** @return array<string, mixed> */
function asked(string $url, string $body, string $key): array
{
    [$status, $said] = post($url, $body, $key);
    $reply = json_decode($said);
    if ($status === 200) {
        return stored(
            $reply->id,
            $reply->system_fingerprint,
            $reply->choices[0]->message->content,
            $reply->choices[0]->finish_reason,
            $reply->usage->prompt_tokens,
            $reply->usage->completion_tokens,
            $reply->model,
        );
    }
    return refused($status, $status < 500 ? $reply->error->message : 'the reason phrase');
}

/** @return array{int, string} */
function post(string $url, string $body, string $key): array
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_POST => true,
        CURLOPT_POSTFIELDS => $body,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_HTTPHEADER => ['Content-Type: application/json', "Authorization: Bearer {$key}"],
    ]);
    $said = curl_exec($curl);
    if ($said === false) {
        throw new RuntimeException(curl_error($curl));
    }
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $said];
}

/** @return array<string, mixed> */
function stored(
    string $id,
    string $fingerprint,
    string $content,
    string $reason,
    int $prompt,
    int $completion,
    string $model,
): array {
    foreach ([[$id, 128], [$fingerprint, 128], [$reason, 128], [$model, 50]] as [$text, $longest]) {
        if (preg_match("/^.{0,{$longest}}$/us", $text) !== 1) {
            throw new LengthException("the column takes {$longest} characters: {$text}");
        }
    }
    if (preg_match('/^[a-zA-Z_-]*$/D', $reason) !== 1) {
        throw new UnexpectedValueException("a finish reason: {$reason}");
    }
    if (strip_tags($content) !== $content) {
        throw new UnexpectedValueException("a generated text: {$content}");
    }
    return ['content' => $content, 'tokens' => [$prompt, $completion]];
}

/** @return array<string, mixed> */
function refused(int $status, string $shown): array
{
    return ['status' => $status, 'shown' => $shown, 'next' => $status === 429 || $status >= 500];
}
