{{- define "spacelift-promex.port" -}}
{{ include "exporter.portOf" .Values.listenAddress }}
{{- end -}}

{{- define "spacelift-promex.path" -}}
{{ .Values.telemetryPath | default "/metrics" }}
{{- end -}}

{{/* The file with the API key's secret, from any source. */}}
{{- define "spacelift-promex.secretFile" -}}
/var/run/secrets/spacelift/{{ include "spacelift-promex.secretKey" . }}
{{- end -}}

{{/* The key that Spacelift's own chart expects in the Secret. */}}
{{- define "spacelift-promex.secretKey" -}}
SPACELIFT_PROMEX_API_KEY_SECRET
{{- end -}}

{{/*
Not empty if the user's variables or arguments can contain the secret or the path of its file. The contents of Secrets
and ConfigMaps in extraEnvFrom cannot be checked.
*/}}
{{- define "spacelift-promex.secretBrought" -}}
{{- if .Values.extraEnvFrom }}true{{ end -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "SPACELIFT_PROMEX_API_KEY_SECRET" "SPACELIFT_PROMEX_API_KEY_SECRET_FILE" "CONFIG_PATH") }}true{{ end -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- if regexMatch "^(--api-key-secret(-file)?|-s|--config)(=|$)" . }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/*
The projected source of the API key's secret: a Secret of the user or of the chart, or a token of the service account.
Empty if the user provides it otherwise, as a variable or a mounted file.
*/}}
{{- define "spacelift-promex.secretSource" -}}
{{- $existing := .Values.apiKeySecretName | default .Values.existingSecret -}}
{{- $sources := list .Values.apiKeySecretName .Values.existingSecret .Values.apiKeySecret (ternary "oidc" "" .Values.oidc.enabled) | compact -}}
{{- if gt (len $sources) 1 -}}
{{- fail "only one of apiKeySecretName, existingSecret, apiKeySecret and oidc.enabled may be set" -}}
{{- end -}}
{{- if not (or $sources (include "spacelift-promex.secretBrought" .)) -}}
{{- fail "the API key has no secret: set one of apiKeySecretName, existingSecret, apiKeySecret and oidc.enabled, or set SPACELIFT_PROMEX_API_KEY_SECRET or SPACELIFT_PROMEX_API_KEY_SECRET_FILE with extraEnv or extraEnvFrom" -}}
{{- end -}}
{{- if .Values.oidc.enabled -}}
serviceAccountToken:
  audience: {{ required "oidc.audience is required: the client id of the API key in Spacelift" .Values.oidc.audience }}
  expirationSeconds: {{ .Values.oidc.expirationSeconds }}
  path: {{ include "spacelift-promex.secretKey" . }}
{{- else if $sources -}}
secret:
  name: {{ $existing | default (include "exporter.fullname" .) }}
  items:
    - key: {{ include "spacelift-promex.secretKey" . }}
      path: {{ include "spacelift-promex.secretKey" . }}
{{- end -}}
{{- end -}}

{{/*
Every template includes this first. Values of Spacelift's own chart contain the image of its exporter, which has other
options; the defaults replace them. Defaults also replace keys that are missing in reused values of an earlier
release.
*/}}
{{- define "spacelift-promex.prepare" -}}
{{- include "exporter.prepare" . -}}
{{- range $key, $default := pick (.Files.Get "files/values.yaml" | fromYaml) "webhook" "runs" "persistence" -}}
{{- if not (get $.Values $key) }}{{ $_ := set $.Values $key $default }}{{ end -}}
{{- end -}}
{{- if regexMatch "(^|/)(spacelift/promex|spacelift-io/prometheus-exporter)$" .Values.image.repository -}}
{{- range $key, $default := pick (.Files.Get "files/values.yaml" | fromYaml).image "registry" "repository" "tag" "digest" -}}
{{- $_ := set $.Values.image $key $default -}}
{{- end -}}
{{- end -}}
{{- end -}}
