<?php

declare(strict_types=1);

namespace MoodleSidecar;

/**
 * Runs the sidecar's command for one request, without a shell, within a time limit; reads both outputs together.
 *
 * Secrets travel in the environment: arguments are visible in the process list.
 */
final class Child
{
    private const LARGEST_REPLY = 16 * 1024 * 1024;
    private const STDERR_BYTES = 4096;
    private const PIECE = 65536;
    /** Seconds that the process may take to end after its reply. */
    private const FAREWELL = 0.5;
    /** Exit code of a process that could not execute the program. */
    private const CANNOT_RUN = 127;
    private const SIGKILL = 9;

    /**
     * @param list<string> $command
     * @param array<string, string> $environment the whole environment of the process
     */
    public function __construct(
        private readonly array $command,
        #[\SensitiveParameter] private readonly array $environment,
    ) {
    }

    /** @param float $seconds in all; a process that takes longer is killed */
    public function ask(string $line, float $seconds): Reply
    {
        $missing = $this->missing();
        if ($missing !== '') {
            return Reply::failed(Failure::NotReached, $missing);
        }
        $process = @proc_open(
            $this->command,
            [['pipe', 'r'], ['pipe', 'w'], ['pipe', 'w']],
            $pipes,
            null,
            $this->environment,
        );
        if (!is_resource($process)) {
            return Reply::failed(Failure::NotReached, "{$this->command[0]} cannot be started");
        }
        $until = self::now() + $seconds;
        [$said, $complaint] = self::talk($pipes, $line, $until);
        $reply = $said === null ? null : Reply::decoded($said);
        $code = self::end($process, match ($said) {
            null => 0.0,
            '' => $until,
            default => self::now() + self::FAREWELL,
        });
        $complaint = $this->redacted($complaint);
        if ($reply !== null) {
            return Reply::heard($reply, Via::Process, detail: $complaint);
        }
        if ($said === null || $code === null) {
            return Reply::failed(Failure::NoReply, trim("killed after {$seconds} seconds. {$complaint}"), Via::Process);
        }
        if ($code === self::CANNOT_RUN) {
            return Reply::failed(Failure::NotReached, "{$this->command[0]} cannot be started");
        }
        return Reply::failed(Failure::ProcessFailed, trim("exit code {$code}. {$complaint}"), Via::Process);
    }

    /** Returns why the program cannot be started; blank if it can. */
    private function missing(): string
    {
        $program = $this->command[0] ?? '';
        if (!function_exists('proc_open')) {
            return 'proc_open is disabled in this PHP';
        }
        // Under open_basedir, is_executable() fails for programs that proc_open() starts all the same.
        if ($program === '' || (!ini_get('open_basedir') && str_contains($program, '/') && !is_executable($program))) {
            return "there is no program {$program} that this user may run";
        }
        return '';
    }

    /**
     * Sends the line and reads the reply's line and stderr.
     *
     * @param array<int, resource> $pipes closed at the end
     * @return array{string|null, string} the first line of stdout, null if it did not come in time; the start of stderr
     */
    private static function talk(array $pipes, string $line, float $until): array
    {
        [$stdin, $stdout, $stderr] = $pipes;
        array_map(static fn ($pipe): bool => stream_set_blocking($pipe, false), $pipes);
        $said = $complaint = '';
        $sent = 0;
        $whole = false;
        while (!$whole || isset($pipes[2])) {
            $left = $until - self::now();
            if ($left <= 0 || strlen($said) > self::LARGEST_REPLY) {
                break;
            }
            $read = array_filter([$pipes[1] ?? null, $pipes[2] ?? null]);
            $write = isset($pipes[0]) ? [$pipes[0]] : [];
            $except = null;
            if (!@stream_select($read, $write, $except, (int) $left, (int) (fmod($left, 1) * 1e6))) {
                continue;
            }
            foreach ($write as $pipe) {
                $taken = @fwrite($pipe, substr($line, $sent, self::PIECE));
                $sent += (int) $taken;
                if ($taken === false || $sent >= strlen($line)) { // the process reads no more, or has all
                    fclose($pipe);
                    unset($pipes[0]);
                }
            }
            foreach ($read as $pipe) {
                $piece = (string) @fread($pipe, self::PIECE);
                if ($piece === '' && feof($pipe)) {
                    unset($pipes[$pipe === $stdout ? 1 : 2]);
                    $whole = $whole || $pipe === $stdout;
                } elseif ($pipe === $stderr) {
                    $complaint .= substr($piece, 0, self::STDERR_BYTES - strlen($complaint));
                } elseif (!$whole) {
                    $said .= $piece;
                    if (str_contains($piece, "\n")) {
                        $whole = true;
                        $until = min($until, self::now() + self::FAREWELL);
                    }
                }
            }
        }
        foreach ([$stdin, $stdout, $stderr] as $pipe) {
            is_resource($pipe) && fclose($pipe);
        }
        return [$whole ? strstr($said . "\n", "\n", true) : null, trim($complaint)];
    }

    /**
     * Ends the process, by force after $until.
     *
     * @param resource $process
     * @return int|null the exit code; null if force was needed
     */
    private static function end($process, float $until): ?int
    {
        while (($status = proc_get_status($process))['running'] && self::now() < $until) {
            usleep(2000);
        }
        if ($status['running']) {
            proc_terminate($process, self::SIGKILL);
        }
        proc_close($process);
        return $status['running'] ? null : $status['exitcode'];
    }

    private function redacted(string $text): string
    {
        foreach ($this->environment as $name => $value) {
            if (preg_match('/KEY|TOKEN|SECRET/', $name) && $value !== '') {
                $text = str_replace($value, '(secret)', $text);
            }
        }
        return $text;
    }

    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }
}
