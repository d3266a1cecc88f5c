<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** The way a reply came. */
enum Via: string
{
    case Http = 'http';
    case Process = 'process';
}
