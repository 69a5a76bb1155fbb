{{/* A duration such as 500ms or 1m30s, in seconds. */}}
{{- define "exporter.seconds" -}}
{{- $units := dict "ns" 1e-9 "us" 1e-6 "µs" 1e-6 "ms" 1e-3 "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800 "y" 31536000 -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-zµ]+" . -1 -}}
{{- $unit := get $units (regexFind "[a-zµ]+$" .) | required (printf "%s is no duration such as 500ms or 1m30s" .) -}}
{{- $seconds = addf $seconds (mulf (regexFind "^[0-9.]+" . | float64) $unit) -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}

{{/*
Fails if the duration `short` is longer than `long`. Takes short, long and their names shortName and longName. Unset
durations are not compared.
*/}}
{{- define "exporter.fits" -}}
{{- if and .short .long -}}
{{- if gt (include "exporter.seconds" .short | float64) (include "exporter.seconds" .long | float64) -}}
{{- fail (printf "%s (%s) must not be longer than %s (%s)" .shortName .short .longName .long) -}}
{{- end -}}
{{- end -}}
{{- end -}}
