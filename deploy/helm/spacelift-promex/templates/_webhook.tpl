{{/* Runs from Spacelift's webhooks: the separate port, the secret that signs deliveries, and access to the port. */}}

{{/*
Not empty if webhooks are received: with a Secret, or if the user provides the secret as a variable, a mounted file or
an argument. Fails if the values are inconsistent.
*/}}
{{- define "spacelift-promex.webhook.enabled" -}}
{{- $webhook := .Values.webhook -}}
{{- $on := $webhook.existingSecret -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "SPACELIFT_PROMEX_WEBHOOK_SECRET" "SPACELIFT_PROMEX_WEBHOOK_SECRET_FILE") }}{{ $on = .name }}{{ end -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- if regexMatch "^--webhook.secret(-file)?(=|$)" . }}{{ $on = . }}{{ end -}}
{{- end -}}
{{- if not $on -}}
{{- range $name, $enabled := dict "webhook.ingress.enabled" $webhook.ingress.enabled "webhook.httpRoute.enabled" $webhook.httpRoute.enabled "persistence.enabled" .Values.persistence.enabled -}}
{{- if $enabled -}}
{{- fail (printf "%s needs webhooks: set webhook.existingSecret, or set SPACELIFT_PROMEX_WEBHOOK_SECRET or SPACELIFT_PROMEX_WEBHOOK_SECRET_FILE with extraEnv" $name) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- fail (printf "replicaCount must be 1 where webhooks are received, not %d: Spacelift delivers to one of the replicas, and each would count a part of the runs" (int .Values.replicaCount)) -}}
{{- end -}}
{{- if eq (int $webhook.port) (include "spacelift-promex.port" . | int) -}}
{{- fail (printf "webhook.port must not be the port of listenAddress, %d: the port that is open to the internet must not serve the metrics" (int $webhook.port)) -}}
{{- end -}}
{{- if eq (int $webhook.servicePort) (int .Values.service.port) -}}
{{- fail (printf "webhook.servicePort must not be service.port, %d" (int $webhook.servicePort)) -}}
{{- end -}}
true
{{- end -}}
{{- end -}}

{{- define "spacelift-promex.webhook.secretFile" -}}
/var/run/secrets/spacelift-webhook/{{ .Values.webhook.existingSecretKey }}
{{- end -}}

{{/* The environment variables of the exporter. */}}
{{- define "spacelift-promex.webhook.environment" -}}
{{- if include "spacelift-promex.webhook.enabled" . -}}
{{- with .Values.webhook -}}
{{- if .existingSecret -}}
SPACELIFT_PROMEX_WEBHOOK_SECRET_FILE: {{ include "spacelift-promex.webhook.secretFile" $ }}
{{ end -}}
SPACELIFT_PROMEX_WEBHOOK_LISTEN_ADDRESS: {{ printf ":%d" (int .port) | quote }}
SPACELIFT_PROMEX_WEBHOOK_PATH: {{ .path | quote }}
SPACELIFT_PROMEX_WEBHOOK_MAX_BODY: {{ ternary .maxBody (printf "%d" (.maxBody | toString | float64 | int64)) (kindIs "string" .maxBody) | quote }}
{{ with .account -}}
SPACELIFT_PROMEX_WEBHOOK_ACCOUNT: {{ . | quote }}
{{ end -}}
{{- end -}}
{{- with .Values.runs -}}
SPACELIFT_PROMEX_RUNS_MAX_STACKS: {{ int .maxStacks | quote }}
SPACELIFT_PROMEX_RUNS_STACK_TTL: {{ .stackTtl | quote }}
SPACELIFT_PROMEX_RUNS_MAX_AGE: {{ .maxAge | quote }}
{{ end -}}
SPACELIFT_PROMEX_COLLECTOR_RUNS: {{ ne (toString .Values.collectors.runs) "false" | quote }}
{{- if .Values.persistence.enabled }}
SPACELIFT_PROMEX_STATE_PATH: {{ include "exporter.state.directory" . }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "spacelift-promex.webhook.containerPorts" -}}
{{- if include "spacelift-promex.webhook.enabled" . -}}
- name: webhook
  containerPort: {{ int .Values.webhook.port }}
  protocol: TCP
{{- end -}}
{{- end -}}

{{- define "spacelift-promex.webhook.servicePorts" -}}
{{- if include "spacelift-promex.webhook.enabled" . -}}
- name: webhook
  port: {{ int .Values.webhook.servicePort }}
  targetPort: webhook
  protocol: TCP
  {{- if eq (include "exporter.web.scheme" .) "https" }}
  appProtocol: https
  {{- end }}
  {{- if and .Values.webhook.nodePort (ne .Values.service.type "ClusterIP") }}
  nodePort: {{ int .Values.webhook.nodePort }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Deliveries arrive through an ingress controller, a gateway or a load balancer, or from the internet; they are signed. */}}
{{- define "spacelift-promex.webhook.networkPolicy" -}}
{{- if include "spacelift-promex.webhook.enabled" . -}}
- ports:
    - port: {{ int .Values.webhook.port }}
      protocol: TCP
  {{- with .Values.networkPolicy.webhookFrom }}
  from:
    {{- tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Metadata of the Ingress or HTTPRoute. Takes root and values. */}}
{{- define "spacelift-promex.webhook.metadata" -}}
{{- include "exporter.metadata" (dict
  "root" .root
  "name" (include "spacelift-promex.webhook.name" .root)
  "labels" .values.labels
  "annotations" .values.annotations) -}}
{{- end -}}

{{- define "spacelift-promex.webhook.name" -}}
{{ include "exporter.fullname" . | trunc 55 | trimSuffix "-" }}-webhook
{{- end -}}

{{/* The URLs to enter in Spacelift, one per line; empty if the chart exposes none. */}}
{{- define "spacelift-promex.webhook.urls" -}}
{{- $urls := list -}}
{{- with .Values.webhook -}}
{{- if .ingress.enabled -}}
{{- range .ingress.hosts }}{{ $urls = append $urls (printf "https://%s%s" . $.Values.webhook.path) }}{{ end -}}
{{- end -}}
{{- if .httpRoute.enabled -}}
{{- range .httpRoute.hostnames }}{{ $urls = append $urls (printf "https://%s%s" . $.Values.webhook.path) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- uniq $urls | join "\n" -}}
{{- end -}}
