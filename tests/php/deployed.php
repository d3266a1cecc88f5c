<?php

// A double of the communicator that is deployed on sites, for tests: how it calls, waits and falls back, written from
// CONTRACT's "Who calls". Its faults are kept, they are what the sidecar must live with.
//
//   php deployed.php COMMAND < request.json

declare(strict_types=1);

$request = stream_get_contents(STDIN);
$said = over_http($request);
$way = 'http';
if ($said === null) {
    $way = 'process';
    [$said, $complaint, $code] = by_process($argv[1], $request);
    if ($code !== 0) {
        echo json_encode(['way' => $way, 'failure' => "exit code {$code}: {$complaint}"]);
        exit;
    }
}
$reply = json_decode($said, true);
if (!is_array($reply) || !array_key_exists('success', $reply)) {
    echo json_encode(['way' => $way, 'failure' => 'not a reply']);
    exit;
}
echo json_encode(['way' => $way, 'said' => $reply['success'] ? $reply['data'] : $reply['error']] + $reply);

function over_http(string $request): ?string
{
    $curl = curl_init(getenv('OPENAI_SIDECAR_HTTP_URL') ?: 'http://127.0.0.1:8081/ai');
    curl_setopt_array($curl, [
        CURLOPT_POST => true,
        CURLOPT_POSTFIELDS => $request,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_HTTPHEADER => ['Content-Type: application/json', 'Content-Length: ' . strlen($request)],
        CURLOPT_CONNECTTIMEOUT => (int) (getenv('OPENAI_SIDECAR_CONNECT_TIMEOUT') ?: 5),
        CURLOPT_TIMEOUT => (int) (getenv('OPENAI_SIDECAR_HTTP_TIMEOUT') ?: 30),
    ]);
    $said = curl_exec($curl);
    $status = curl_getinfo($curl, CURLINFO_HTTP_CODE);
    return $said === false || $status < 200 || $status > 299 ? null : $said;
}

/** @return array{string, string, int} */
function by_process(string $path, string $request): array
{
    $command = $path;
    $flags = [
        'OPENAI_API_KEY' => 'api-key',
        'OPENAI_BASE_URL' => 'base-url',
        'OPENAI_MODEL' => 'model',
        'MAX_TOKENS' => 'max-tokens',
        'SUMMARIZE_THRESHOLD' => 'summarize-threshold',
    ];
    foreach ($flags as $variable => $flag) {
        if (getenv($variable) !== false) {
            $command .= " --{$flag}=" . escapeshellarg(getenv($variable));
        }
    }
    $process = proc_open($command, [['pipe', 'r'], ['pipe', 'w'], ['pipe', 'w']], $pipes);
    fwrite($pipes[0], $request . "\n");
    fclose($pipes[0]);
    $said = stream_get_contents($pipes[1]);
    $complaint = stream_get_contents($pipes[2]);
    fclose($pipes[1]);
    fclose($pipes[2]);
    return [$said, $complaint, proc_close($process)];
}
