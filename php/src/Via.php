<?php

declare(strict_types=1);

namespace MoodleSidecar;

/** The transport of a reply. */
enum Via: string
{
    case Http = 'http';
    case Process = 'process';
}
