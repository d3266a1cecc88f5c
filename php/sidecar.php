<?php

// For plugins without Composer: require this one file, then use MoodleSidecar\Communicator.

declare(strict_types=1);

foreach (['Failure', 'Via', 'JobStatus', 'Reply', 'Job', 'Jobs', 'Exchange', 'Http', 'Child', 'Communicator'] as $name) {
    require_once __DIR__ . "/src/{$name}.php";
}
unset($name);
