<?php

// For tests: does with our communicator what standard input says, and writes what came of it as one JSON object.
// {"new": {named arguments} or null for fromEnvironment(), "do": "chat", "with": {named arguments}, "psr4": false}

declare(strict_types=1);

set_error_handler(static function (int $level, string $message): bool {
    if (error_reporting() & $level) {
        fwrite(STDERR, "PHP says: {$message}\n");
    }
    return true;
});

$asked = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
$php = dirname(__DIR__, 2) . '/php';
if ($asked['psr4'] ?? false) {
    $mapped = json_decode(file_get_contents("{$php}/composer.json"), true)['autoload']['psr-4'];
    spl_autoload_register(static function (string $class) use ($mapped, $php): void {
        foreach ($mapped as $prefix => $folder) {
            if (str_starts_with($class, $prefix)) {
                require "{$php}/{$folder}" . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
            }
        }
    });
} else {
    require "{$php}/sidecar.php";
}

$sidecar = $asked['new'] === null
    ? MoodleSidecar\Communicator::fromEnvironment()
    : new MoodleSidecar\Communicator(...$asked['new']);
$with = $asked['with'];
if (isset($with['base64'])) { // bytes that JSON cannot carry
    $with['content'] = base64_decode($with['base64']);
    unset($with['base64']);
}
$started = hrtime(true);
$came = $sidecar->{$asked['do']}(...$with);
$seconds = (hrtime(true) - $started) / 1e9;
echo json_encode(
    ['seconds' => $seconds, 'dump' => print_r($sidecar, true), 'peak' => memory_get_peak_usage()] + get_object_vars($came),
    JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION,
);
